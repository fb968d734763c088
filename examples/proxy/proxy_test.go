package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stayauth/stayauth/transport"
)

func TestPassesOn(t *testing.T) {
	a := &api{first: 1}
	f := start(t, a, "/v1", &transport.Transport{Provider: counted()})
	req := newRequest(t, "PATCH", f.url+"/feeds/timeline%3Aalice?x=1;y=%zz", "body")
	req.Header.Set("Authorization", "Bearer of the program's own")
	req.Header.Set("Proxy-Authorization", "Basic secret")
	req.Header.Set("Connection", "Authorization")
	req.Header.Set("X-Forwarded-For", "10.0.0.1")
	req.Header.Set("X-Mine", "kept")
	program := &http.Transport{DisableCompression: true} // it adds nothing of its own
	defer program.CloseIdleConnections()
	resp, err := program.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); resp.StatusCode != 200 || string(body) != "welcome" || err != nil {
		t.Fatalf("status %d, %q, %v", resp.StatusCode, body, err)
	}
	got := a.arrived[0]
	if got.RequestURI != "/v1/feeds/timeline%3Aalice?x=1;y=%zz" || got.Method != "PATCH" || got.Host != f.target.Host || a.bodies[0] != "body" {
		t.Errorf("%s %s with %q at %s arrived", got.Method, got.RequestURI, a.bodies[0], got.Host)
	}
	for name, want := range map[string]string{
		"Authorization": "Bearer token-1", "Proxy-Authorization": "", "X-Forwarded-For": "", "X-Mine": "kept", "Accept-Encoding": "",
	} {
		if got := strings.Join(got.Header.Values(name), "|"); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestReplays(t *testing.T) {
	long := strings.Repeat("x", 64<<10+1)
	for _, tt := range []struct {
		name, body string
		chunked    bool
		status     int
	}{
		{"no body", "", false, 200},
		{"a short body", "hello", false, 200},
		{"a short body of unknown length", "hello", true, 200},
		{"a body as long as can be kept", long[1:], false, 200},
		{"a longer body", long, false, 401},
		{"a longer body of unknown length", long, true, 401},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := &api{first: 2, reject: bearer401}
			f := start(t, a, "", &transport.Transport{Provider: counted()})
			send := func() (int, string) {
				req := newRequest(t, "POST", f.url, tt.body)
				if tt.chunked {
					req.ContentLength = -1
				}
				return do(t, req)
			}
			says := map[int]string{200: "welcome", 401: "what token is this?"}
			if status, body := send(); status != tt.status || body != says[status] {
				t.Errorf("status %d, %q, want %d, %q", status, body, tt.status, says[tt.status])
			}
			if status, body := send(); status != 200 || body != "welcome" {
				t.Errorf("the next one: status %d, %q", status, body)
			}
			// The first under the rejected token, and it or the next one under the other: three
			// requests, or two and one lost.
			want := 3
			if tt.status == 401 {
				want = 2
			}
			if len(a.bodies) != want {
				t.Errorf("%d requests arrived, want %d", len(a.bodies), want)
			}
			for i, b := range a.bodies {
				if b != tt.body {
					t.Errorf("request %d arrived with %d bytes, want %d", i, len(b), len(tt.body))
				}
			}
		})
	}
}

func TestRejected(t *testing.T) {
	bare := func(w http.ResponseWriter) { w.WriteHeader(401) }
	code := func(n int) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.WriteHeader(401)
			fmt.Fprintf(w, `{"code":%d}`, n)
		}
	}
	for _, tt := range []struct {
		name   string
		reject func(http.ResponseWriter)
		status int
		header string
	}{
		{"bearer", bearer401, 200, "Bearer token-2"},
		{"bearer", bare, 401, "Bearer token-1"},
		{"any401", bare, 200, "Bearer token-2"},
		{"code40", code(40), 200, "token-2"},
		{"code40", code(43), 401, "token-1"},
		{"code40", bearer401, 401, "token-1"},
	} {
		a := &api{first: 2, reject: tt.reject}
		tr := &transport.Transport{Provider: counted()}
		if err := setRejected(tr, tt.name); err != nil {
			t.Fatal(err)
		}
		f := start(t, a, "", tr)
		req := newRequest(t, "GET", f.url, "")
		req.Header.Set("Authorization", "mine")
		if status, _ := do(t, req); status != tt.status {
			t.Errorf("%s: status %d, want %d", tt.name, status, tt.status)
		}
		if got := a.arrived[len(a.arrived)-1].Header.Values("Authorization"); len(got) != 1 || got[0] != tt.header {
			t.Errorf("%s: Authorization was %q at last, want %q", tt.name, got, tt.header)
		}
	}
}

// Each half of a conversation is passed on before the other half is over.
func TestStreams(t *testing.T) {
	heard := make(chan string)
	a := &api{first: 2, reject: bearer401, serve: func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "PUT" {
			in := bufio.NewScanner(r.Body)
			for in.Scan() {
				heard <- in.Text()
			}
			return
		}
		w.Header().Set("Content-Length", "8") // known, so that nothing but the proxy's settings makes it a stream
		for _, line := range []string{"one\n", "two\n"} {
			_, _ = io.WriteString(w, line)
			_ = http.NewResponseController(w).Flush()
			select {
			case <-heard:
			case <-r.Context().Done():
				return
			}
		}
	}}
	f := start(t, a, "", &transport.Transport{Provider: counted()})

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // the end of what would hang
	defer cancel()
	resp, err := http.DefaultTransport.RoundTrip(newRequest(t, "GET", f.url, "").WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	in := bufio.NewReader(resp.Body)
	for _, want := range []string{"one\n", "two\n"} {
		line, err := in.ReadString('\n')
		if line != want || err != nil {
			t.Fatalf("read %q, %v, want %q", line, err, want)
		}
		heard <- line // the server writes the next line, or ends, only now
	}

	body, writer := io.Pipe()
	req := newRequest(t, "PUT", f.url, "")
	req.Body = body
	done := make(chan error, 1)
	go func() { // ends with the answer, or with the test's context
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		done <- err
	}()
	for _, line := range []string{"up one", "up two"} {
		if _, err := io.WriteString(writer, line+"\n"); err != nil {
			t.Fatal(err)
		}
		if got := <-heard; got != line { // before the next is written
			t.Fatalf("%q arrived, want %q", got, line)
		}
	}
	_ = writer.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// An upgrade is passed on, also if its token is rejected at first, and ends when the proxy stops.
func TestUpgrades(t *testing.T) {
	a := &api{first: 2, reject: bearer401, serve: func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "echo" {
			w.WriteHeader(400)
			return
		}
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_, _ = io.Copy(conn, rw)
	}}
	f := start(t, a, "", &transport.Transport{Provider: counted()})

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	log := slog.New(slog.DiscardHandler)
	served := make(chan error, 1)
	go func() { served <- serve(ctx, newProxy(f.target, f.tr, log), l, log) }() // ends with ctx

	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /socket HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n", l.Addr())
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 101 || resp.Header.Get("Upgrade") != "echo" {
		t.Fatalf("status %d, Upgrade %q", resp.StatusCode, resp.Header.Get("Upgrade"))
	}
	for _, line := range []string{"one\n", "two\n"} {
		_, _ = io.WriteString(conn, line)
		if got, err := in.ReadString('\n'); got != line || err != nil {
			t.Fatalf("read %q, %v, want %q", got, err, line)
		}
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if _, err := in.ReadByte(); err == nil {
		t.Error("the connection has outlived the proxy")
	}
}
