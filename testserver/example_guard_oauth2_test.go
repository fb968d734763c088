package testserver_test

import (
	"fmt"
	"net/http"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/testserver"
	"github.com/stayauth/stayauth/transport"
)

// A program that logs in at an OAuth 2.0 server, whose refresh tokens are good once, and the server
// that the guard is. A login is begun for it as a browser would; then its token expires twice.
func ExampleGuard_oauth2() {
	guard := &testserver.Guard{
		Clients: map[string]string{"my-tool": "sesame"}, TTL: time.Minute, Opaque: true,
	}
	defer guard.Close()

	client := &http.Client{Transport: &transport.Transport{
		Provider: provider.OAuth2{
			TokenURL:     "https://auth.example.com/token",
			ClientID:     "my-tool",
			ClientSecret: provider.NewSecret("sesame"),
			RefreshToken: provider.NewSecret(guard.LogIn("alice")),
			Client:       &http.Client{Transport: guard}, // in your program: nil
		},
		Base: guard, // in your program: nil
	}}
	for range 3 {
		resp, err := client.Get("https://api.example.com/things")
		if err != nil {
			fmt.Println(err)
			return
		}
		resp.Body.Close()
		fmt.Println(resp.Status)
		guard.AdvanceClock(2 * time.Minute)
	}
	l := guard.Ledger()
	fmt.Println(l.TokenCalls, "token calls,", l.Reused, "refresh tokens used twice")
	// Output:
	// 200 OK
	// 200 OK
	// 200 OK
	// 3 token calls, 0 refresh tokens used twice
}
