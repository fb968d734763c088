package frame_test

import (
	"strings"
	"testing"

	"github.com/stayauth/stayauth/examples/internal/frame"
)

func TestCheckURL(t *testing.T) {
	for value, want := range map[string]string{
		"https://app.example.com/token": "",
		"http://127.0.0.1:8080":         "",
		"http://[::1]:8080/token":       "",
		"http://LocalHost":              "",
		"http://app.example.com":        "must be https",
		"http://localhost.example.com":  "must be https",
		"https://bob:pw@example.com":    "neither a user",
		"https://example.com/#top":      "neither a user",
		"app.example.com/token":         "whole address",
		"ftp://app.example.com":         "whole address",
		"https://:8080":                 "whole address",
		"%":                             "whole address",
		"":                              "whole address",
	} {
		if got := frame.CheckURL(value); !strings.Contains(got, want) || (got == "") != (want == "") {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
}
