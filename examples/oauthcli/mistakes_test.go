package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func TestMistakes(t *testing.T) {
	d := newDesk(t)
	d.wants(exitUsage, "there is no command", []string{}...)
	for _, tt := range []struct {
		status int
		says   string
		line   string
	}{
		{exitUsage, `there is no command "logn"`, "logn"},
		{exitUsage, "flag provided but not defined: -x\nTry: oauthcli help login", "login -x"},
		{exitUsage, "there is something else on the command line", "login secret"},
		{exitUsage, "it takes one argument: path", "get"},
		{exitUsage, "it takes one argument: path", "get a b"},
		{exitUsage, "it has to know -client-id", "login"},
		{exitUsage, "it has to know -issuer", "login -client-id demo"},
		{exitUsage, "it has to know -api", "login -client-id demo -issuer " + d.base},
		{exitUsage, "-issuer must be https", "login -client-id demo -issuer http://auth.example.com -api " + d.base},
		{exitUsage, "-api must be a whole address", "login -client-id demo -api api.example.com -issuer " + d.base},
		{exitFailed, "is -issuer right?", "login -client-id demo -issuer " + d.base + "/nowhere -api " + d.base},
		{exitLoggedOut, "you are not logged in\nTry: oauthcli login", "token"},
		{exitLoggedOut, "you are not logged in", "get /me"},
	} {
		d.wants(tt.status, tt.says, strings.Fields(tt.line)...)
	}
	d.login()
	d.wants(exitUsage, "its token goes nowhere else", "get", "https://api.example.com/me")
	d.wants(exitUsage, "its token goes nowhere else", "get", strings.Replace(d.base, "http:", "https:", 1))
	if status, _, stderr := d.run("get", "/nothing"); status != exitFailed || !strings.Contains(stderr, "404") {
		t.Errorf("a path that is not there: exit status %d, %q", status, stderr)
	}
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"issuer":"https://auth.example.com"}`)
	}))
	defer other.Close()
	d.wants(exitFailed, "which is another one than", "login", "-issuer", other.URL, "-no-browser")
}

func TestHelp(t *testing.T) {
	var overview bytes.Buffer
	if status := newTool(&overview, io.Discard).run(t.Context(), []string{"help"}); status != exitOK {
		t.Errorf("help: exit status %d", status)
	}
	for _, c := range commands() {
		if !strings.Contains(overview.String(), c.name) || !strings.Contains(overview.String(), c.short) {
			t.Errorf("the overview says nothing of %s", c.name)
		}
		var out bytes.Buffer
		if status := newTool(&out, io.Discard).run(t.Context(), []string{"help", c.name}); status != exitOK || !strings.Contains(strings.Join(strings.Fields(out.String()), " "), strings.Join(strings.Fields(c.long), " ")) ||
			!strings.Contains(out.String(), "usage: oauthcli "+c.name) {
			t.Errorf("help %s: exit status %d, %s", c.name, status, out.String())
		}
		for line := range strings.Lines(out.String()) {
			if len(strings.ReplaceAll(line, "\t", "    ")) > 81 { // with its end
				t.Errorf("help %s has a line that does not fit into 80 columns: %q", c.name, line)
			}
		}
	}
}

// What comes back to the loopback port is not believed unless it answers this very login.
func TestForgedAnswer(t *testing.T) {
	d := newDesk(t)
	ctx, cancel := context.WithCancel(t.Context())
	forger := &forger{t: t, cancel: cancel}
	var out bytes.Buffer
	status := newTool(&out, forger).run(ctx, []string{"login", "-state", d.state, "-no-browser", "-issuer", d.base, "-client-id", "demo", "-api", d.base})
	if status != exitFailed || out.Len() > 0 || !slices.Equal(forger.got, []int{404, 404, 404}) {
		t.Errorf("exit status %d, %q, and the forged answers are answered with %v; want 1, nothing and 404", status, out.String(), forger.got)
	}
	d.wants(exitLoggedOut, "you are not logged in", "status") // although a login was begun
}

// A forger sends answers of its own to the loopback port.
type forger struct {
	t      *testing.T
	cancel context.CancelFunc
	got    []int
}

func (f *forger) Write(b []byte) (int, error) {
	u, err := http.NewRequest(http.MethodGet, string(address.Find(b)), nil)
	if err != nil || len(address.Find(b)) == 0 {
		return len(b), nil
	}
	redirect := u.URL.Query().Get("redirect_uri")
	for _, query := range []string{"?code=forged", "?code=forged&state=", "?error=access_denied&state=x"} {
		resp, err := http.Get(redirect + query)
		if err != nil {
			f.t.Error(err)
			continue
		}
		resp.Body.Close()
		f.got = append(f.got, resp.StatusCode)
	}
	f.cancel()
	return len(b), nil
}
