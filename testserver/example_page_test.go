package testserver_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/testserver"
	"github.com/stayauth/stayauth/transport"
)

// A test server of your own shows its page at an address of its own.
func ExampleServer_Page() {
	srv := &testserver.Server{TTL: 10 * time.Second}
	page := httptest.NewServer(srv.Page()) // or http.ListenAndServe("127.0.0.1:8081", srv.Page())
	defer page.Close()
	defer srv.Close()

	resp, err := http.Get(page.URL) // a person opens it in a browser
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status, resp.Header.Get("Content-Type"))

	// Output:
	// 200 OK text/html; charset=utf-8
}

// A client in the same process tells the page what no server can see: that it holds requests back.
func ExamplePage() {
	guard := &testserver.Guard{TTL: 10 * time.Second}
	defer guard.Close()
	page := guard.Page() // to be served like any handler

	client := &http.Client{Transport: &transport.Transport{
		Provider: provider.OAuth2{
			TokenURL: "https://auth.test/token", ClientID: "cli", RefreshToken: provider.NewSecret(guard.LogIn("alice")), Client: &http.Client{Transport: guard},
		},
		Origins: []string{"https://api.test"},
		Base:    guard,
		Trace: &transport.Trace{
			RefreshStart: func(e transport.RefreshStart) {
				if e.Reason != transport.ReasonEarly { // then no request waits
					page.Waiting("alice")
				}
			},
			Rejected: func(e transport.Rejected) {
				if !e.Late { // then a refresh has replaced the token already
					page.Waiting("alice")
				}
			},
			RefreshDone: func(e transport.RefreshDone) { page.Resumed("alice", e.Waiting, e.Err) },
			Waited:      func(e transport.Waited) { page.HeldBack("alice", e.Duration) },
		},
	}}
	resp, err := client.Get("https://api.test/things")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)

	// Output:
	// 200 OK
}
