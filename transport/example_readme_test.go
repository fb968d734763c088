package transport_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/filestore"
	"github.com/stayauth/stayauth/provider/shared"
	"github.com/stayauth/stayauth/testserver"
	"github.com/stayauth/stayauth/transport"
)

// The README's first way in: a program with a client id, a secret, a token URL and a refresh token
// stays logged in across expiry, revocation and restarts. Here it meets all three, with refresh
// tokens that are good once; the server is a testserver.Guard.
func Example_oAuth2() {
	guard := &testserver.Guard{Clients: map[string]string{"my-tool": "sesame"}, TTL: time.Minute, Next: http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "served") })}
	defer guard.Close()
	dir, err := os.MkdirTemp("", "login")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	first := guard.LogIn("alice")

	run := func(happens func()) { // the program, once
		tokens := provider.OAuth2{TokenURL: "https://auth.example.com/token", ClientID: "my-tool", ClientSecret: provider.NewSecret("sesame"), RefreshToken: provider.NewSecret(first),
			Client: &http.Client{Transport: guard}} // in your program: nil
		login := &shared.Login{Provider: tokens, Store: &filestore.Store{Dir: dir}, Key: "alice"}
		tr := &transport.Transport{Provider: login, Origins: []string{"https://api.example.com"},
			Base: guard} // in your program: nil
		defer tr.Close() // waits for a refresh that has begun, so that a rotated token is not lost
		client := &http.Client{Transport: tr}
		for range 2 {
			resp, err := client.Post("https://api.example.com/things", "text/plain", strings.NewReader("hello"))
			if err != nil {
				fmt.Println(err)
				return
			}
			resp.Body.Close()
			fmt.Println(resp.Status)
			happens()
		}
	}
	run(func() { guard.AdvanceClock(2 * time.Minute) }) // its tokens expire
	run(func() { guard.Revoke("alice") })               // they are revoked
	l := guard.Ledger()
	fmt.Println(l.TokenCalls, "token calls,", l.Reused, "refresh tokens used twice")
	// Output:
	// 200 OK
	// 200 OK
	// 200 OK
	// 200 OK
	// 4 token calls, 0 refresh tokens used twice
}
