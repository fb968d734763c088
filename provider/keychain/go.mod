module github.com/stayauth/stayauth/provider/keychain

go 1.26.0

require (
	github.com/godbus/dbus/v5 v5.2.2
	github.com/stayauth/stayauth v0.0.0
	github.com/zalando/go-keyring v0.2.8
)

require (
	github.com/cenkalti/backoff/v4 v4.3.0 // indirect
	github.com/danieljoos/wincred v1.2.3 // indirect
	github.com/golang-jwt/jwt/v5 v5.3.1 // indirect
	golang.org/x/sys v0.27.0 // indirect
)

replace github.com/stayauth/stayauth => ../..
