module github.com/stayauth/stayauth/transport/bench

go 1.26.0

replace github.com/stayauth/stayauth => ../..

require github.com/stayauth/stayauth v0.0.0

require (
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/text v0.43.0 // indirect
)

require (
	github.com/cenkalti/backoff/v4 v4.3.0 // indirect
	github.com/golang-jwt/jwt/v5 v5.3.1 // indirect
	golang.org/x/oauth2 v0.37.0
)
