package testserver_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/testserver"
	"github.com/stayauth/stayauth/transport"
)

// All that a request needs: the API key in the query, the kind of authentication, and the bare
// token.
func Example() {
	srv := &testserver.Server{}
	defer srv.Close()
	client := &http.Client{Transport: srv}

	get := func(token string) {
		req, err := http.NewRequest("GET", "https://api.example.com/api/v2/app?api_key="+testserver.DefaultKey, nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		req.Header.Set("Stream-Auth-Type", "jwt")
		req.Header.Set("Authorization", token)
		resp, err := client.Do(req)
		if err != nil {
			fmt.Println(err)
			return
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		fmt.Println(resp.StatusCode, strings.Contains(string(body), `"code":40`))
	}
	token := srv.Issue("alice")
	get(token)
	srv.Revoke("alice")
	get(token)
	// Output:
	// 200 false
	// 401 true
}

// The same with a transport that refreshes: of the revocation nothing is to be seen but in the
// ledger.
func Example_transport() {
	srv := &testserver.Server{}
	defer srv.Close()
	t := &transport.Transport{
		Provider:   provider.Func(func(context.Context) (string, error) { return srv.Issue("alice"), nil }),
		Base:       srv,
		Authorize:  func(r *http.Request, tok provider.Token) { r.Header.Set("Authorization", tok.Value()) },
		IsRejected: transport.BodyCode("code", 40),
	}
	defer t.Close()
	client := &http.Client{Transport: t}

	get := func() {
		req, err := http.NewRequest("GET", "https://api.example.com/api/v2/app?api_key="+testserver.DefaultKey, nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		req.Header.Set("Stream-Auth-Type", "jwt")
		resp, err := client.Do(req)
		if err != nil {
			fmt.Println(err)
			return
		}
		defer resp.Body.Close()
		fmt.Println(resp.Status)
	}
	get()
	srv.Revoke("alice")
	get()
	l := srv.Ledger()
	fmt.Println(l.Issued, "tokens,", l.Rejected, "rejected")
	// Output:
	// 200 OK
	// 200 OK
	// 2 tokens, 1 rejected
}

// A user's token is good until it is revoked, and the next one is good at once.
func ExampleServer() {
	srv := &testserver.Server{TTL: 2 * time.Second}
	ts := httptest.NewServer(srv)
	defer ts.Close()

	post := func(token string) {
		req, err := http.NewRequest("POST", ts.URL+"/api/v2/feeds/activities?api_key="+testserver.DefaultKey,
			strings.NewReader(`{"type": "post", "feeds": ["user:alice"], "text": "hello"}`))
		if err != nil {
			fmt.Println(err)
			return
		}
		req.Header.Set("Authorization", token) // bare, without "Bearer"
		req.Header.Set("stream-auth-type", "jwt")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			fmt.Println(err)
			return
		}
		defer resp.Body.Close()
		fmt.Println(resp.Status)
	}

	token := srv.Issue("alice")
	post(token)
	srv.Revoke("alice")
	post(token)
	post(srv.Issue("alice"))
	// Output:
	// 201 Created
	// 401 Unauthorized
	// 201 Created
}

// RoundTrip needs no port: the server is the client's transport. Wherever a URL points, the request
// stays in memory.
func ExampleServer_RoundTrip() {
	srv := &testserver.Server{}
	defer srv.Close()
	client := &http.Client{Transport: srv}

	resp, err := client.Get("https://api.example.com/api/v2/app?api_key=wrong")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	fmt.Println(resp.StatusCode, strings.Contains(string(body), `"code":2`))
	// Output: 401 true
}

// The second call of the token endpoint fails, the others don't.
func ExampleFault() {
	calls := 0
	srv := &testserver.Server{Fault: func(r *http.Request) testserver.Fault {
		if r.URL.Path != "/token" {
			return testserver.Fault{}
		}
		if calls++; calls == 2 {
			return testserver.Fault{Status: 503, RetryAfter: 3 * time.Second}
		}
		return testserver.Fault{Latency: 10 * time.Millisecond}
	}}
	defer srv.Close()
	client := &http.Client{Transport: srv}
	for range 3 {
		resp, err := client.Post("https://backend.example.com/token", "application/json", strings.NewReader(`{"user_id": "alice"}`))
		if err != nil {
			fmt.Println(err)
			return
		}
		resp.Body.Close()
		fmt.Printf("%d %q\n", resp.StatusCode, resp.Header.Get("Retry-After"))
	}
	// Output:
	// 200 ""
	// 503 "3"
	// 200 ""
}

// The connection breaks after the token was issued: the client never learns it.
func ExampleCut() {
	srv := &testserver.Server{Fault: func(*http.Request) testserver.Fault {
		return testserver.Fault{Cut: testserver.CutAfter}
	}}
	defer srv.Close()
	client := &http.Client{Transport: srv}
	_, err := client.Post("https://backend.example.com/token", "application/json", strings.NewReader(`{"user_id": "alice"}`))
	fmt.Println(err != nil, srv.Ledger().Issued)
	// Output: true 1
}

// With Reusable a refresh token is good for ever, and the answers to it name no new one.
func ExampleRotation() {
	srv := &testserver.Server{Rotation: testserver.Reusable}
	defer srv.Close()
	client := &http.Client{Transport: srv}
	ask := func(body string) string {
		resp, err := client.Post("https://backend.example.com/token", "application/json", strings.NewReader(body))
		if err != nil {
			return err.Error()
		}
		defer resp.Body.Close()
		answer, _ := io.ReadAll(resp.Body)
		return string(answer)
	}
	login := ask(`{"user_id": "alice"}`)
	_, rest, _ := strings.Cut(login, `"refresh_token":"`)
	secret, _, _ := strings.Cut(rest, `"`)
	for range 2 {
		answer := ask(`{"refresh_token": "` + secret + `"}`)
		fmt.Println(strings.Contains(answer, `"token"`), strings.Contains(answer, `"refresh_token"`))
	}
	// Output:
	// true false
	// true false
}

// The connection is closed soon after it was accepted, with a code after which clients come back.
func ExampleSocketFault() {
	srv := &testserver.Server{Fault: func(*http.Request) testserver.Fault {
		return testserver.Fault{Socket: testserver.SocketFault{After: 10 * time.Millisecond, Close: 1012}}
	}}
	defer srv.Close()
	ctx := context.Background()
	ws, _, err := websocket.Dial(ctx, "https://api.example.com/api/v2/connect?stream-auth-type=jwt&api_key="+testserver.DefaultKey,
		&websocket.DialOptions{HTTPClient: &http.Client{Transport: srv}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ws.CloseNow()
	if err := ws.Write(ctx, websocket.MessageText, []byte(`{"token": "`+srv.Issue("alice")+`"}`)); err != nil {
		fmt.Println(err)
		return
	}
	_, first, err := ws.Read(ctx)
	fmt.Println(strings.Contains(string(first), "connection.ok"), err)
	_, _, err = ws.Read(ctx)
	fmt.Println(websocket.CloseStatus(err))
	// Output:
	// true <nil>
	// StatusServiceRestart
}
