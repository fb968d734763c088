module github.com/stayauth/stayauth/examples/oauthcli

go 1.26.0

require (
	github.com/stayauth/stayauth v0.0.0
	github.com/stayauth/stayauth/provider/keychain v0.0.0
	github.com/zalando/go-keyring v0.2.8
	golang.org/x/oauth2 v0.36.0
)

require (
	github.com/cenkalti/backoff/v4 v4.3.0 // indirect
	github.com/coder/websocket v1.8.15 // indirect
	github.com/danieljoos/wincred v1.2.3 // indirect
	github.com/godbus/dbus/v5 v5.2.2 // indirect
	github.com/golang-jwt/jwt/v5 v5.3.1 // indirect
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.43.0 // indirect
)

replace github.com/stayauth/stayauth => ../..

replace github.com/stayauth/stayauth/provider/keychain => ../../provider/keychain
