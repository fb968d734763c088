package provider_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stayauth/stayauth/provider"
)

// Neither is a substring of anything that a printer could come up with by itself.
const (
	secretValue   = "eyJ.zq9-token-value.sig"
	secretRefresh = "zq9-refresh-secret"
	secretExtra   = "zq9-id-token"
)

func secretToken() provider.Token {
	return provider.NewToken(secretValue, time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)).WithRefreshToken(secretRefresh).
		WithExtras(map[string]string{"id_token": secretExtra})
}

// leaks returns whichever secret is in s, as text, in hex or as a list of numbers, as %x and %d
// print strings and bytes.
func leaks(s string, secrets ...string) string {
	squeezed := strings.NewReplacer(" ", "", "0x", "", ",", "").Replace(strings.ToLower(s))
	for _, secret := range secrets {
		forms := []string{
			strings.ToLower(secret),
			fmt.Sprintf("%x", secret),
			strings.Trim(strings.ReplaceAll(fmt.Sprint([]byte(secret)), " ", ""), "[]"),
		}
		for _, form := range forms {
			if strings.Contains(squeezed, form) {
				return secret
			}
		}
	}
	return ""
}

var verbs = strings.Split("v +v #v s q x X #x +q #q d o b c U t e g p T w 10s -40v 08d", " ")

type wraps struct{ Token provider.Token }

type hides struct {
	name  string
	token provider.Token
}

type hidesPointer struct{ token *provider.Token }

type hidesDeep struct {
	list []hides
	set  map[string]hides
	keys map[provider.Token]bool
	any  any
	next *hidesDeep
}

func TestTokenNeverPrints(t *testing.T) {
	token := secretToken()
	deep := hidesDeep{
		list: []hides{{"a", token}},
		set:  map[string]hides{"a": {"a", token}},
		keys: map[provider.Token]bool{token: true},
		any:  token,
		next: &hidesDeep{any: &hides{"b", token}},
	}
	values := map[string]any{
		"value":             token,
		"pointer":           &token,
		"exported field":    wraps{token},
		"pointer to struct": &wraps{token},
		"unexported field":  hides{"a", token},
		"its pointer":       &hides{"a", token},
		"pointer field":     hidesPointer{&token},
		"slice":             []provider.Token{token},
		"slice of pointers": []*provider.Token{&token},
		"array":             [1]hides{{"a", token}},
		"map value":         map[string]provider.Token{"a": token},
		"map key":           map[provider.Token]int{token: 1},
		"any":               []any{token, &token, hides{"a", token}},
		"deep":              deep,
		"pointer to deep":   &deep,
		"error":             fmt.Errorf("refresh of %v failed: %w", token, errors.New("x")),
		"joined":            errors.Join(fmt.Errorf("%+v %#v", hides{"a", token}, &token)),
	}
	for name, v := range values {
		for _, verb := range verbs {
			if got := fmt.Sprintf("%"+verb, v); leaks(got, secretValue, secretRefresh, secretExtra) != "" {
				t.Errorf("%s under %%%s prints a secret: %s", name, verb, got)
			}
			if got := fmt.Errorf("%"+verb, v).Error(); leaks(got, secretValue, secretRefresh, secretExtra) != "" {
				t.Errorf("%s under %%%s in an error prints a secret: %s", name, verb, got)
			}
		}
		if got := fmt.Sprint(v) + fmt.Sprintln(v); leaks(got, secretValue, secretRefresh, secretExtra) != "" {
			t.Errorf("%s in Sprint prints a secret: %s", name, got)
		}
	}
	for _, verb := range []string{"v", "+v", "#v", "s", "q", "x", "d"} {
		if got := fmt.Sprintf("%"+verb, token); got != "REDACTED" {
			t.Errorf("%%%s prints %q, want REDACTED", verb, got)
		}
	}
	if got := token.String(); got != "REDACTED" {
		t.Errorf("String returns %q, want REDACTED", got)
	}
	// The words must be able to show up at all.
	if leaks(fmt.Sprintf("%x", []string{secretValue}), secretValue) == "" || leaks(fmt.Sprint([]byte(secretRefresh)), secretRefresh) == "" {
		t.Error("leaks finds nothing where a secret is printed")
	}
}

func TestTokenNeverLogs(t *testing.T) {
	token := secretToken()
	var out bytes.Buffer
	for name, h := range map[string]slog.Handler{
		"text": slog.NewTextHandler(&out, nil),
		"json": slog.NewJSONHandler(&out, nil),
	} {
		out.Reset()
		log := slog.New(h).With("with", token)
		log.Info("value", "token", token, "pointer", &token, "list", []provider.Token{token}, "map", map[string]any{"a": &token},
			"struct", wraps{token}, "hidden", hides{"a", token}, "hidden pointer", &hides{"a", token}, slog.Group("g", "token", token))
		log.Error("error", "err", fmt.Errorf("with %v", token))
		got := out.String()
		if leaks(got, secretValue, secretRefresh, secretExtra) != "" {
			t.Errorf("slog's %s handler prints a secret: %s", name, got)
		}
		if !strings.Contains(got, "REDACTED") {
			t.Errorf("slog's %s handler prints no REDACTED: %s", name, got)
		}
	}
}

func TestTokenNeverMarshals(t *testing.T) {
	token := secretToken()
	data, err := json.Marshal(map[string]any{"a": token, "b": &token, "c": wraps{token}, "d": []provider.Token{token}, "e": hides{"a", token}})
	if want := `{"a":"REDACTED","b":"REDACTED","c":{"Token":"REDACTED"},"d":["REDACTED"],"e":{}}`; err != nil || string(data) != want {
		t.Errorf("JSON is %s, %v; want %s", data, err, want)
	}
	data, err = json.Marshal(map[provider.Token]int{token: 1})
	if want := `{"REDACTED":1}`; err != nil || string(data) != want {
		t.Errorf("JSON of a map's key is %s, %v; want %s", data, err, want)
	}
	data, err = xml.Marshal(wraps{token})
	if want := `<wraps><Token>REDACTED</Token></wraps>`; err != nil || string(data) != want {
		t.Errorf("XML is %s, %v; want %s", data, err, want)
	}
	var out bytes.Buffer
	_ = gob.NewEncoder(&out).Encode(token)
	if leaks(out.String(), secretValue, secretRefresh, secretExtra) != "" {
		t.Errorf("gob writes a secret: %q", out.String())
	}
}

func TestTokenNeverUnmarshals(t *testing.T) {
	for _, data := range []string{`"REDACTED"`, `"abc"`, `null`, `{}`, `{"value":"abc"}`, `7`, `[]`} {
		token := secretToken()
		if err := json.Unmarshal([]byte(data), &token); err == nil {
			t.Errorf("%s is unmarshalled without an error", data)
		}
		var in wraps
		if err := json.Unmarshal([]byte(`{"Token":`+data+`}`), &in); err == nil {
			t.Errorf("%s in a struct is unmarshalled without an error", data)
		}
	}
	var in wraps
	if err := xml.Unmarshal([]byte(`<wraps><Token>REDACTED</Token></wraps>`), &in); err == nil {
		t.Error("XML is unmarshalled without an error")
	}
}

func TestTokenEqual(t *testing.T) {
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	base := provider.NewToken("a", at).WithRefreshToken("r")
	tests := []struct {
		name string
		u    provider.Token
		want bool
	}{
		{"itself", base, true},
		{"made again", provider.NewToken(strings.Clone("a"), at).WithRefreshToken(strings.Clone("r")), true},
		{"another zone", provider.NewToken("a", at.In(time.FixedZone("x", 3600))).WithRefreshToken("r"), true},
		{"another value", provider.NewToken("b", at).WithRefreshToken("r"), false},
		{"another refresh token", base.WithRefreshToken("s"), false},
		{"no refresh token", base.WithRefreshToken(""), false},
		{"another lifetime", base.WithLifetime(time.Hour), true},
		{"more extras", base.WithExtras(map[string]string{"scope": "x"}), true},
		{"another expiry", provider.NewToken("a", at.Add(time.Second)).WithRefreshToken("r"), false},
		{"the zero Token", provider.Token{}, false},
	}
	for _, tt := range tests {
		if base.Equal(tt.u) != tt.want || tt.u.Equal(base) != tt.want {
			t.Errorf("%s: Equal is not %t both ways", tt.name, tt.want)
		}
	}
	if base.RefreshToken() != "r" {
		t.Error("WithRefreshToken changed the token that it was called on")
	}
	zero := provider.NewToken("", time.Time{})
	if !zero.IsZero() || !zero.Equal(provider.Token{}) || base.IsZero() || provider.NewToken("a", time.Time{}).IsZero() {
		t.Error("IsZero doesn't tell a token from none")
	}
}

// The monotonic clock stands still while a machine is suspended, so an expiry must not carry its
// reading.
func TestTokenExpiryIsWallClock(t *testing.T) {
	expiry := provider.NewToken("a", time.Now().Add(time.Hour)).Expiry()
	if strings.Contains(expiry.String(), "m=") {
		t.Errorf("the expiry has a monotonic reading: %v", expiry)
	}
}

func TestTokenExtras(t *testing.T) {
	given := map[string]string{"scope": "a b", "id_token": "<&é\"\\>", "team": `{"id":7}`, "": "nameless"}
	token := provider.NewToken("a", time.Time{}).WithExtras(given)
	if got := token.Extras(); !reflect.DeepEqual(got, given) {
		t.Errorf("Extras returns %q, want %q", got, given)
	}
	token.Extras()["scope"] = "changed"
	given["scope"] = "changed"
	if got := token.Extra("scope"); got != "a b" {
		t.Errorf("scope is %q after others have changed their maps", got)
	}
	if got := token.Extra("Scope") + token.Extra("other"); got != "" {
		t.Errorf("what was not there is %q", got)
	}
	if none := token.WithExtras(map[string]string{}); none.Extras() != nil || token.Extra("scope") != "a b" {
		t.Errorf("taken away, they are %q", none.Extras())
	}
	if got := (provider.Token{}).Extra("scope"); got != "" {
		t.Errorf("the zero Token has the scope %q", got)
	}
}

// What a store has to do: all of a Token must be within reach, or it would be lost on the way.
func TestTokenCanBeStored(t *testing.T) {
	token := secretToken().WithLifetime(time.Hour)
	for i := range reflect.TypeOf(token).NumField() {
		if reflect.ValueOf(token).Field(i).IsZero() {
			t.Fatalf("the token to be stored has no %s", reflect.TypeOf(token).Field(i).Name)
		}
	}
	again := provider.NewToken(token.Value(), token.Expiry()).WithLifetime(token.Lifetime()).
		WithRefreshToken(token.RefreshToken()).WithExtras(token.Extras())
	if !reflect.DeepEqual(again, token) {
		t.Errorf("it comes back with the lifetime %v, the expiry %v, extras %q", again.Lifetime(), again.Expiry(), again.Extras())
	}
	if got := token.WithLifetime(-time.Second).Lifetime(); got != 0 {
		t.Errorf("a lifetime of less than 0 is %v", got)
	}
}
