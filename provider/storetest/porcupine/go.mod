module github.com/stayauth/stayauth/provider/storetest/porcupine

go 1.26.0

require (
	github.com/anishathalye/porcupine v1.3.1
	github.com/stayauth/stayauth v0.0.0
)

replace github.com/stayauth/stayauth => ../../..
