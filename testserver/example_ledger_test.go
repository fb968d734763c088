package testserver_test

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/stayauth/stayauth/testserver"
)

// The ledger tells what became of a request and its replay, and Check what was wrong with them.
func ExampleLedger() {
	srv := &testserver.Server{}
	defer srv.Close()
	client := &http.Client{Transport: srv}
	post := func(token string) {
		req, err := http.NewRequest("POST", "http://api/api/v2/feeds/activities?api_key="+testserver.DefaultKey,
			strings.NewReader(`{"type": "post", "feeds": ["user:alice"]}`))
		if err != nil {
			fmt.Println(err)
			return
		}
		req.Header.Set("Authorization", token)
		req.Header.Set("stream-auth-type", "jwt")
		req.Header.Set(testserver.RequestID, "post-1")
		resp, err := client.Do(req)
		if err != nil {
			fmt.Println(err)
			return
		}
		resp.Body.Close()
	}

	old := srv.Issue("alice")
	srv.Revoke("alice")
	post(old)
	post(srv.Issue("alice"))

	l := srv.Ledger()
	r := l.Requests["post-1"]
	fmt.Println(r.Attempts, "attempts,", r.Rejected, "rejected,", r.Effects, "effect")
	fmt.Println(l.Tokens[testserver.TokenID(old)].Rejection)
	fmt.Println(srv.Check())

	post(srv.Issue("alice")) // and once too often
	fmt.Println(srv.Check())
	// Output:
	// 2 attempts, 1 rejected, 1 effect
	// This token has been revoked, please generate a new token
	// <nil>
	// testserver: request "post-1" (AddActivity) took effect 2 times
}

// A request that was never sent under its id is the zero Request: no attempts.
func ExampleRequest() {
	srv := &testserver.Server{}
	defer srv.Close()
	req, err := http.NewRequest("GET", "http://api/api/v2/app?api_key="+testserver.DefaultKey, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	req.Header.Set("stream-auth-type", "anonymous")
	req.Header.Set(testserver.RequestID, "read-1")
	resp, err := srv.RoundTrip(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	resp.Body.Close()
	fmt.Printf("%+v\n", srv.Ledger().Requests["read-1"])
	fmt.Printf("%+v\n", srv.Ledger().Requests["read-2"])
	// Output:
	// {Attempts:1 Rejected:0 Effects:0 Tokens:[]}
	// {Attempts:0 Rejected:0 Effects:0 Tokens:[]}
}

// A token that was issued and never used.
func ExampleToken() {
	srv := &testserver.Server{}
	value := srv.Issue("alice")
	token := srv.Ledger().Tokens[testserver.TokenID(value)]
	fmt.Println(token.User, token.Uses, token.FirstUsed.IsZero(), token.Issued.IsZero())
	// Output: alice 0 true false
}
