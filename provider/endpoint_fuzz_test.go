package provider_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stayauth/stayauth/provider"
)

// Whatever an endpoint answers: a token or an error, no secret in it, and no login ended by a
// status that is no refusal.
func FuzzAnswer(f *testing.F) {
	f.Add(200, "application/json", `{"access_token":"a","token":"a","expires_in":"60","refresh_token":"r","scope":["x",1],"id_token":null}`)
	f.Add(200, "application/json", `{"ok":false,"error":"invalid_refresh_token"}`)
	f.Add(200, "", `{"expires_in":1e999,"token":{}}`)
	f.Add(400, "application/json", `{"error":"invalid_grant","error_description":"`+refresh+`"}`)
	f.Add(401, "text/html; charset", `<html>`+refresh)
	f.Add(403, ";", `{"error":{}}`)
	f.Add(502, "", "")
	f.Add(307, "", `{"error":"invalid_grant"}`)
	f.Fuzz(func(t *testing.T, status int, contentType, body string) {
		if status < 200 || status > 599 {
			return
		}
		client := answering(status, body, "Content-Type", contentType)
		for _, old := range []provider.Token{{}, withRefresh().WithExtras(map[string]string{"scope": "old"})} {
			for name, p := range map[string]provider.TokenProvider{
				"HTTP":   provider.HTTP{URL: "https://example.com?k=" + query, UserID: "alice", SessionCookie: "s", Client: client},
				"OAuth2": provider.OAuth2{TokenURL: "https://example.com?k=" + query, ClientID: "tool", RefreshToken: provider.NewSecret(refresh), Client: client},
			} {
				token, err := p.Token(t.Context(), old)
				if token.IsZero() == (err == nil) || err == nil && status/100 != 2 {
					t.Errorf("%s, %d %q: a token: %t, %v", name, status, body, !token.IsZero(), err)
				}
				if err == nil {
					if old.RefreshToken() != "" && (token.RefreshToken() == "" || token.Extra("scope") == "" && !strings.Contains(body, "scope")) {
						t.Errorf("%s, %q: what old had is lost", name, body)
					}
					continue
				}
				if known := name == "OAuth2" || old.RefreshToken() != ""; known && (strings.Contains(err.Error(), refresh) || strings.Contains(err.Error(), query)) || !strings.HasPrefix(err.Error(), "provider: ") {
					t.Errorf("%s, %d %q: %v", name, status, body, err)
				}
				refuses := status/100 == 2 || slices.Contains([]int{400, 401, 403}, status)
				unclear := slices.Contains([]int{502, 504, 520, 524}, status) && (name == "OAuth2" || old.RefreshToken() != "")
				if provider.IsPermanent(err) && !refuses && !unclear {
					t.Errorf("%s, %d %q: %v ends the login", name, status, body, err)
				}
			}
		}
	})
}
