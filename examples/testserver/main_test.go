package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, stdout := io.Pipe()
	status := make(chan int, 1)
	go func() {
		status <- run(ctx, []string{"-addr", "127.0.0.1:0", "-key", "k", "-secret", "sesame", "-ttl", "5m"}, stdout, io.Discard)
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(line, "ready at ")
	url, _, _ := strings.Cut(rest, " ")
	if !strings.Contains(line, "API key k\n") || strings.Contains(line, "sesame") {
		t.Errorf("the line says %q", line)
	}
	resp, err := http.Post(url+"/token", "application/json", strings.NewReader(`{"user_id":"alice"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		ExpiresIn int `json:"expires_in"` // what was left of it when the server answered
	}
	err = json.NewDecoder(resp.Body).Decode(&answer)
	if resp.StatusCode != 200 || err != nil || answer.ExpiresIn < 200 || answer.ExpiresIn > 300 {
		t.Errorf("POST /token: status %d, a life of %d s, %v; want 200 and 5 minutes", resp.StatusCode, answer.ExpiresIn, err)
	}
	cancel()
	if got := <-status; got != 0 {
		t.Errorf("exit status %d, want 0", got)
	}
}

func TestRunRefuses(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, tt := range []struct {
		args   string
		status int
		says   string
	}{
		{"-bogus", 2, "flag provided but not defined: -bogus"},
		{"-ttl soon", 2, `invalid value "soon" for flag -ttl`},
		{"-latency -1s", 2, "testserver: -latency must not be negative"},
		{"-secret= x", 2, `testserver: unexpected argument "x"`},
		{"-secret=", 2, "testserver: -key and -secret must not be empty"},
		{"-h", 0, "Usage of testserver"},
		{"-guard -key k", 2, "testserver: -key means nothing with -guard"},
		{"-opaque", 2, "testserver: -opaque needs -guard"},
		{"-guard -user=", 2, "testserver: -user must not be empty"},
		{"-guard -client-secret x", 2, "testserver: -client-secret needs -client"},
		{"-guard -rotation twice", 2, `testserver: -rotation must be single-use, grace or reusable, not "twice"`},
		{"-guard -upstream 127.0.0.1:9000", 2, "testserver: -upstream must be a whole URL, such as http://127.0.0.1:9000"},
		{"-page-addr 127.0.0.1:1", 2, "testserver: -page-addr needs -page"},
		{"-guard -demo -upstream http://127.0.0.1:9000", 2, "testserver: -demo would send its requests to the -upstream: use one of the two"},
		{"-addr 127.0.0.1:0 -page -page-addr " + l.Addr().String(), 1, "testserver: the page can't listen: listen tcp " + l.Addr().String()},
		{"-addr " + l.Addr().String(), 1, "testserver: listen tcp " + l.Addr().String() + ": bind:"},
	} {
		var stderr strings.Builder
		if got := run(t.Context(), strings.Fields(tt.args), io.Discard, &stderr); got != tt.status {
			t.Errorf("%s: exit status %d, want %d", tt.args, got, tt.status)
		}
		if !strings.HasPrefix(stderr.String(), tt.says) {
			t.Errorf("%s: says %q, want %q", tt.args, stderr.String(), tt.says)
		}
	}
}
