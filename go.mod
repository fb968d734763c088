module github.com/stayauth/stayauth

go 1.26.0

require (
	github.com/cenkalti/backoff/v4 v4.3.0
	github.com/coder/websocket v1.8.15
	github.com/golang-jwt/jwt/v5 v5.3.1
	golang.org/x/net v0.62.0
	golang.org/x/sync v0.24.0
)

require golang.org/x/text v0.43.0 // indirect
