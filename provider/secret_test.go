package provider_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/shared"
	"github.com/stayauth/stayauth/provider/storetest"
	"github.com/stayauth/stayauth/testserver"
	"github.com/stayauth/stayauth/transport"
)

// held is something that holds secrets.
type held struct {
	name string
	in   map[string]any // the value, in all the places where it may stand
}

// shows and conceals are somebody's structs. fmt calls the methods of what stands in the first, and
// walks the fields of what stands in the second.
type shows[T any] struct {
	V T
	P *T
	S []T
	M map[string]T
	A any
}

type conceals[T any] struct {
	v T
	p *T
	s []T
	m map[string]T
	a any
	n *conceals[T]
}

func hold[T any](name string, v T) held {
	hidden := conceals[T]{v, &v, []T{v}, map[string]T{"a": v}, v, &conceals[T]{a: &v}}
	return held{name, map[string]any{
		"itself":              v,
		"a pointer":           &v,
		"exported fields":     shows[T]{v, &v, []T{v}, map[string]T{"a": v}, v},
		"unexported fields":   hidden,
		"their pointer":       &hidden,
		"a slice":             []T{v},
		"a slice of pointers": []*T{&v},
		"an array":            [1]T{v},
		"a map":               map[string]T{"a": v},
		"a map of structs":    map[string]conceals[T]{"a": hidden},
		"an interface":        []any{v, &v, hidden},
	}}
}

// holders are all the types that hold secrets, except for a test server's own.
func holders(t *testing.T) []held {
	secret := provider.NewSecret(apiSecret)
	signer := provider.Signer{Secret: secret}
	oauth := provider.OAuth2{TokenURL: "https://auth.example.com", ClientID: "tool", ClientSecret: secret, RefreshToken: secret}
	token := secretToken().WithRefreshToken(apiSecret)

	srv := &testserver.Server{Secret: apiSecret}
	t.Cleanup(func() { srv.Close() })
	client, err := feeds.NewClient(testserver.DefaultKey, apiSecret)
	if err != nil {
		t.Fatal(err)
	}
	client.Base = roundTrip(srv.RoundTrip) // a test server's own secret is no secret
	session, err := client.ConnectUser(t.Context(), feeds.User{ID: "alice"}, signer.For("alice"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { session.Close() })

	always := provider.TokenFunc(func(context.Context, provider.Token) (provider.Token, error) { return token, nil })
	login := &shared.Login{Provider: always, Store: new(storetest.Memory), Key: "alice"}
	if _, err := login.Token(t.Context(), provider.Token{}); err != nil {
		t.Fatal(err)
	}
	login.Store = nil // a Memory shows its records, as any store may
	tr := &transport.Transport{Provider: oauth, Origins: []string{"https://api.example.com"}}
	if err := tr.SetToken(token); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tr.Close() })

	return []held{
		hold("Secret", secret),
		hold("Token", token),
		hold("Signer", signer),
		hold("Handler", provider.Handler{Signer: signer}),
		hold("HTTP", provider.HTTP{URL: "https://app.example.com", Session: secret}),
		hold("OAuth2", oauth),
		hold("TokenRequest", provider.TokenRequest{UserID: "alice", Session: secret, RefreshToken: secret}),
		hold("Signer.For", signer.For("alice")),
		hold("Static", provider.Static(secretValue)),
		hold("feeds.Client", *client),
		hold("*feeds.Client", client),
		hold("*feeds.Session", session),
		hold("*shared.Login", login),
		hold("*transport.Transport", tr),
		hold("testserver.Ledger", srv.Ledger()),
	}
}

// A secret shows nowhere, whatever holds it, wherever that stands and however it is printed.
func TestSecretsNeverShow(t *testing.T) {
	for _, h := range holders(t) {
		for place, v := range h.in {
			for _, verb := range verbs {
				got := fmt.Sprintf("%"+verb, v)
				if shown := leaks(got, apiSecret, secretValue, secretExtra, "eyJhbGciOi"); shown != "" {
					t.Errorf("%s in %s under %%%s prints %s: %s", h.name, place, verb, shown, got)
				}
			}
			var out bytes.Buffer
			slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
			slog.New(slog.NewJSONHandler(&out, nil)).With("w", v).Info("x", slog.Group("g", "v", v))
			if data, err := json.Marshal(v); err == nil {
				out.Write(data)
			}
			if data, err := xml.Marshal(v); err == nil {
				out.Write(data)
			}
			if leaks(out.String(), apiSecret, secretValue, secretExtra, "eyJhbGciOi") != "" {
				t.Errorf("%s in %s is logged or marshalled with a secret: %s", h.name, place, out.String())
			}
		}
	}
}

// What has nothing else to say prints as REDACTED, and not as an address.
func TestSecretsPrintAsRedacted(t *testing.T) {
	for _, v := range []any{
		provider.NewSecret(apiSecret), provider.Secret{}, secretToken(), provider.Signer{}, provider.HTTP{}, provider.OAuth2{}, provider.TokenRequest{},
	} {
		if got := slog.AnyValue(v).Resolve(); got.Kind() != slog.KindString || got.String() != "REDACTED" {
			t.Errorf("%T resolves to %v in slog", v, got)
		}
		data, err := json.Marshal(v)
		if got := fmt.Sprintf("%+v", v); got != "REDACTED" || string(data) != `"REDACTED"` {
			t.Errorf("%T prints %q and marshals as %s, %v", v, got, data, err)
		}
	}
}

// A Secret comes from a configuration file as any text does, except for what one was printed as.
func TestSecretUnmarshals(t *testing.T) {
	var config struct{ A, B, C provider.Secret }
	if err := json.Unmarshal([]byte(`{"A":"hunter2","B":""}`), &config); err != nil {
		t.Fatal(err)
	}
	if a, b, c := config.A, config.B, config.C; a.Value() != "hunter2" || a.IsZero() || !b.IsZero() || !c.IsZero() || c.Value() != "" {
		t.Errorf("read %q, %q, %q", a.Value(), b.Value(), c.Value())
	}
	if config.A != provider.NewSecret("hunter"+"2") || config.A == provider.NewSecret("hunter3") || config.B != provider.NewSecret("") {
		t.Error("== doesn't compare the texts")
	}
	written, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(written, &config); err == nil || config.A.Value() != "hunter2" {
		t.Errorf("what was written as REDACTED is read as %q: %v", config.A.Value(), err)
	}
}
