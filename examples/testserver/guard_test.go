package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// started runs the program until the test ends, and returns what it has printed up to the line that
// ends in last, or that says where the page is.
func started(t *testing.T, last string, args ...string) (said string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, stdout := io.Pipe()
	status := make(chan int, 1)
	go func() {
		status <- run(ctx, append([]string{"-addr", "127.0.0.1:0"}, args...), stdout, io.Discard)
		stdout.Close()
	}()
	t.Cleanup(func() {
		cancel()
		if got := <-status; got != 0 {
			t.Errorf("exit status %d, want 0", got)
		}
	})
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		said += line
		if err != nil || last != "" && strings.HasSuffix(line, last+"\n") || strings.HasPrefix(line, "see it live at ") {
			return said
		}
	}
}

// word returns the word that follows prefix.
func word(t *testing.T, said, prefix string) string {
	t.Helper()
	_, rest, found := strings.Cut(said, prefix)
	if !found {
		t.Fatalf("%q is not in what the program says:\n%s", prefix, said)
	}
	return strings.FieldsFunc(rest, func(r rune) bool { return strings.ContainsRune(" ,\n", r) })[0]
}

// What the program prints is what works: the token endpoint with the refresh token, and the API
// with the token.
func TestGuard(t *testing.T) {
	said := started(t, "/things", "-guard", "-client", "my tool", "-client-secret", "s&same", "-ttl", "5m", "-user", "bob")
	if strings.Contains(said, "s&same") {
		t.Errorf("the secret is printed:\n%s", said)
	}
	base := word(t, said, "ready at ")
	req, err := http.NewRequest("POST", word(t, said, "token endpoint "), strings.NewReader(url.Values{
		"grant_type": {"refresh_token"}, "refresh_token": {word(t, said, "to begin with: ")},
	}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	id, _, _ := strings.Cut(word(t, said, "curl -u '"), ":")
	req.SetBasicAuth(id, url.QueryEscape("s&same"))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int    `json:"expires_in"` // what was left of it when the server answered
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode != 200 || answer.ExpiresIn < 200 || answer.ExpiresIn > 300 {
		t.Errorf("the token endpoint: status %d, error %v, a life of %d s; want 5 minutes", resp.StatusCode, err, answer.ExpiresIn)
	}
	if status, body := get(t, base+"/things", answer.AccessToken); status != 200 || body != `{"method":"GET","path":"/things","user":"bob"}`+"\n" {
		t.Errorf("the API: status %d, %s", status, body)
	}
	if status, _ := get(t, base+"/things", ""); status != 401 {
		t.Errorf("the API without a token: status %d, want 401", status)
	}
}

func get(t *testing.T, url, token string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

// The upstream gets the request and whose it is, and not the token.
func TestGuardUpstream(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.URL.Path+" of "+r.Header.Get("X-Forwarded-User")+", token: "+r.Header.Get("Authorization"))
	}))
	defer upstream.Close()
	said := started(t, "/things", "-guard", "-upstream", upstream.URL+"/v1", "-client", "app")
	if !strings.Contains(said, "curl -d client_id=app -d grant_type=") || !strings.Contains(said, "in front of "+upstream.URL+"/v1\n") {
		t.Errorf("the program says\n%s", said)
	}
	resp, err := http.PostForm(word(t, said, "token endpoint "), url.Values{
		"grant_type": {"refresh_token"}, "client_id": {"app"}, "refresh_token": {word(t, said, "to begin with: ")},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	token, _ := answer["access_token"].(string)
	if status, body := get(t, word(t, said, "ready at ")+"/things", token); status != 200 || body != "/v1/things of alice, token: " {
		t.Errorf("status %d, %q", status, body)
	}
}
