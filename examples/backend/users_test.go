package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stayauth/stayauth/provider"
)

func TestUsersFile(t *testing.T) {
	hash := strings.Repeat("0f", 32)
	for _, tt := range []struct{ data, says string }{
		{hash + " alice\n", ""},
		{"# a comment\n\n" + hash + "  Dr. Alice Ä\r\n", ""},
		{"", "is empty"},
		{hash + " alice", "its last line has no end"},
		{hash + "\n", "line 1 of"},
		{hash[1:] + " alice\n", "line 1 of"},
		{hash + hash + " alice\n", "line 1 of"},
		{"# x\nalice " + hash + "\n", "line 2 of"},
		{hash + " al\x00ice\n", "line 1 of"},
	} {
		path := filepath.Join(t.TempDir(), "users.txt")
		if err := os.WriteFile(path, []byte(tt.data), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := usersFile(path).read()
		if tt.says == "" && err != nil || tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)) {
			t.Errorf("%q: %v, want %q", tt.data, err, tt.says)
		}
	}
	if err := usersFile(filepath.Join(t.TempDir(), "none")).exists(t.Context(), "alice"); !errors.Is(err, os.ErrNotExist) || errors.Is(err, provider.ErrDenied) {
		t.Errorf("without a file: %v, want os.ErrNotExist, which denies nobody", err)
	}
}
