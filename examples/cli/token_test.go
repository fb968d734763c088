package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/testserver"
)

func TestToken(t *testing.T) {
	d := newDesk(t, new(testserver.Server))
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(testserver.DefaultSecret+"\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	inFile := strings.TrimSpace(d.ok("token", "-user", "alice", "-secret-file", file, "-valid", "24h"))
	t.Setenv("STREAM_API_SECRET", testserver.DefaultSecret)
	var answer struct{ Token, User string }
	if err := json.Unmarshal([]byte(d.ok("token", "-json", "-user", "alice", "-valid", "-1s")), &answer); err != nil {
		t.Fatal(err)
	}
	for value, ends := range map[string]bool{inFile: true, answer.Token: false} {
		client := (&tool{stderr: t.Output()}).client(settings{Key: testserver.DefaultKey, BaseURL: d.url})
		s, err := client.ConnectUser(t.Context(), feeds.User{ID: "alice"}, provider.Static(value))
		if err != nil {
			t.Fatalf("the API does not take the token: %v", err)
		}
		s.Close()
		token, err := provider.ParseJWT(value)
		if want := 24 * time.Hour; err != nil || ends && token.Lifetime().Round(time.Minute) != want || token.Expiry().IsZero() == ends {
			t.Errorf("the token lives for %v and ends at %v (%v); want %v: %v", token.Lifetime(), token.Expiry(), err, want, ends)
		}
	}
}
