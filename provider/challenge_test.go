package provider_test

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/stayauth/stayauth/provider"
)

func TestParseChallenges(t *testing.T) {
	type params = map[string]string
	is := func(all ...provider.Challenge) []provider.Challenge { return all }
	tests := []struct {
		headers []string
		want    []provider.Challenge
	}{
		{nil, nil},
		{[]string{""}, nil},
		{[]string{" , ,"}, nil},
		{[]string{"Bearer"}, is(provider.Challenge{Scheme: "Bearer"})},
		{[]string{"Negotiate, Basic"}, is(provider.Challenge{Scheme: "Negotiate"}, provider.Challenge{Scheme: "Basic"})},
		{[]string{`Bearer realm="a", error=invalid_token`},
			is(provider.Challenge{Scheme: "Bearer", Params: params{"realm": "a", "error": "invalid_token"}})},
		{[]string{`,, Bearer  Realm = "a" ,, ERROR="b",`}, is(provider.Challenge{Scheme: "Bearer", Params: params{"realm": "a", "error": "b"}})},
		{[]string{"Bearer\trealm=\ta"}, is(provider.Challenge{Scheme: "Bearer", Params: params{"realm": "a"}})},
		{[]string{`Bearer realm="", scope="a b"`}, is(provider.Challenge{Scheme: "Bearer", Params: params{"realm": "", "scope": "a b"}})},
		{[]string{`Bearer error="first", error="second"`}, is(provider.Challenge{Scheme: "Bearer", Params: params{"error": "first"}})},
		{[]string{`Bearer error="", error="second"`}, is(provider.Challenge{Scheme: "Bearer", Params: params{"error": ""}})},

		// Quoted strings hide what else would divide challenges.
		{[]string{`Basic realm="say \"hi\", Bearer error=\"x\"", Bearer`},
			is(provider.Challenge{Scheme: "Basic", Params: params{"realm": `say "hi", Bearer error="x"`}}, provider.Challenge{Scheme: "Bearer"})},
		{[]string{`Bearer realm="a\\"`}, is(provider.Challenge{Scheme: "Bearer", Params: params{"realm": `a\`}})},
		{[]string{`Bearer realm="\é"`}, is(provider.Challenge{Scheme: "Bearer", Params: params{"realm": "é"}})},

		// RFC 9110 section 11.6.1's own example, and one header for each.
		{[]string{`Basic realm="simple", Newauth realm="apps", type=1, title="Login to \"apps\""`},
			is(provider.Challenge{Scheme: "Basic", Params: params{"realm": "simple"}},
				provider.Challenge{Scheme: "Newauth", Params: params{"realm": "apps", "type": "1", "title": `Login to "apps"`}})},
		{[]string{`Basic realm="simple"`, "Bearer"},
			is(provider.Challenge{Scheme: "Basic", Params: params{"realm": "simple"}}, provider.Challenge{Scheme: "Bearer"})},

		// Blobs.
		{[]string{"Negotiate YWJj=="}, is(provider.Challenge{Scheme: "Negotiate", Token68: "YWJj=="})},
		{[]string{`Negotiate YW/j+ , Basic realm=a, NTLM Y=`}, is(provider.Challenge{Scheme: "Negotiate", Token68: "YW/j+"},
			provider.Challenge{Scheme: "Basic", Params: params{"realm": "a"}}, provider.Challenge{Scheme: "NTLM", Token68: "Y="})},
		{[]string{"Scheme a=b=c"}, is(provider.Challenge{Scheme: "Scheme", Params: params{"a": "b"}})},

		// What APIs ask for.
		{[]string{`Bearer realm="https://auth.example.com/token",service="registry",scope="repository:a:pull,push"`},
			is(provider.Challenge{Scheme: "Bearer", Params: params{"realm": "https://auth.example.com/token", "service": "registry",
				"scope": "repository:a:pull,push"}})},
		{[]string{`Bearer realm="", error="insufficient_claims", claims="eyJhIjoiYiJ9"`},
			is(provider.Challenge{Scheme: "Bearer", Params: params{"realm": "", "error": "insufficient_claims", "claims": "eyJhIjoiYiJ9"}})},

		// What can't be read ends the header, not the list.
		{[]string{`Bearer error="invalid_token`, "Basic"}, is(provider.Challenge{Scheme: "Bearer"}, provider.Challenge{Scheme: "Basic"})},
		{[]string{`Bearer error="invalid_token\"`}, is(provider.Challenge{Scheme: "Bearer"})},
		{[]string{`Bearer error="invalid_token\`}, is(provider.Challenge{Scheme: "Bearer"})},
		{[]string{`Bearer realm="My "API"", error="x"`}, is(provider.Challenge{Scheme: "Bearer", Params: params{"realm": "My "}})},
		{[]string{`Bearer realm=, error="x"`}, is(provider.Challenge{Scheme: "Bearer", Token68: "realm="})}, // so the grammar has it
		{[]string{`Bearer a=b, realm=, error="x"`}, is(provider.Challenge{Scheme: "Bearer", Params: params{"a": "b"}})},
		{[]string{`"Bearer"`, `=`, `Bearer=a`, `Bearer"a"`}, nil},
		{[]string{`Bearer "a", Basic`}, is(provider.Challenge{Scheme: "Bearer"})},
	}
	for _, tt := range tests {
		got := provider.ParseChallenges(http.Header{"Www-Authenticate": tt.headers})
		if !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%q: %q, want %q", tt.headers, got, tt.want)
		}
	}
	if got := provider.ParseChallenges(http.Header{"Proxy-Authenticate": {"Basic"}}); got != nil {
		t.Errorf("another header: %v", got)
	}
}

// What is past the limits is left out, and a challenge that a limit cuts in two must not come as
// one that says less.
func TestParseChallengesIsBounded(t *testing.T) {
	blank := func(n int) string { return strings.Repeat("x", n) }
	count := func(headers ...string) int {
		return len(provider.ParseChallenges(http.Header{"Www-Authenticate": headers}))
	}
	for _, tt := range []struct {
		name    string
		headers []string
		want    int
	}{
		{"64", []string{strings.Repeat("Bearer, ", 64)}, 64},
		{"65", []string{strings.Repeat("Bearer, ", 65)}, 64},
		{"65 headers", strings.Split(strings.Repeat("Bearer,", 65), ","), 64},
		{"fits", []string{`A, Bearer realm="` + blank(60<<10) + `", error=a`}, 2},
		{"cut in a quoted string", []string{`A, Bearer realm="` + blank(70<<10) + `", error="insufficient_scope"`}, 1},
		{"cut between two", []string{`A, Bearer realm="` + blank(64<<10-len(`A, Bearer realm="", `)) + `", error="insufficient_scope"`}, 1},
		{"cut in a blob", []string{`A, Negotiate ` + blank(70<<10)}, 1},
		{"cut in a scheme", []string{`A, ` + blank(70<<10)}, 1},
		{"a second header past the limit", []string{`A realm="` + blank(64<<10-len(`A realm=""`)) + `"`, `Bearer error="insufficient_scope"`}, 1},
		{"a second header at the limit", []string{`A realm="` + blank(64<<10-len(`A realm=""`)-4) + `"`, `Bearer`, `Basic`}, 1},
	} {
		if got := count(tt.headers...); got != tt.want {
			t.Errorf("%s: %d challenges, want %d", tt.name, got, tt.want)
		}
	}
	var many strings.Builder
	for i := range 100 {
		fmt.Fprintf(&many, "p%d=%d, ", i, i)
	}
	all := provider.ParseChallenges(http.Header{"Www-Authenticate": {"Bearer " + many.String() + "Basic"}})
	if len(all) != 2 || len(all[0].Params) != 64 || all[0].Params["p63"] != "63" {
		t.Errorf("of 100 parameters came %d, in %d challenges; want 64, in 2", len(all[0].Params), len(all))
	}
}

// Whatever a server sends, reading it takes no more memory than a small multiple of 64 KiB, be it 8
// MiB long.
func TestParseChallengesCost(t *testing.T) {
	const size = 8 << 20
	for _, unit := range []string{"Bearer ", "a,", "a=b,", "a=b, c ", `a="\\\",`, `"`, `a="`, "A b=", "=", ", ", "A a=b,A ", "é"} {
		header := http.Header{"Www-Authenticate": {"Bearer " + strings.Repeat(unit, size/len(unit)), strings.Repeat(unit, 1<<10)}}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		provider.ParseChallenges(header)
		runtime.ReadMemStats(&after)
		cost := after.TotalAlloc - before.TotalAlloc
		if cost > 256<<10 {
			t.Errorf("8 MiB of %q take %d KiB, want at most 256", unit, cost>>10)
		}
	}
}

func FuzzParseChallenges(f *testing.F) {
	for _, seed := range []string{"", "Bearer", `Bearer realm="a", error=b, Basic`, "Negotiate YQ==, Basic realm=\"\\\"", "A a=b=c", `A a="`,
		"A \t= b", ",,=,", "A b=, C"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		all := provider.ParseChallenges(http.Header{"Www-Authenticate": {header}})
		if len(all) > 64 {
			t.Fatalf("%d challenges", len(all))
		}
		for _, c := range all {
			if c.Scheme == "" || !strings.Contains(header, c.Scheme) || !strings.Contains(header, c.Token68) || c.Token68 != "" && c.Params != nil {
				t.Errorf("%q gives %q", header, c)
			}
			for name, value := range c.Params {
				if name == "" || name != strings.ToLower(name) || len(value) > len(header) {
					t.Errorf("%q gives the parameter %q=%q", header, name, value)
				}
			}
		}
	})
}

func TestRejection(t *testing.T) {
	ctx := t.Context()
	if r, ok := provider.RejectionFrom(ctx); ok || r.StatusCode != 0 || r.Challenges != nil {
		t.Errorf("out of nothing comes %v, %t", r, ok)
	}
	said := provider.ParseChallenges(http.Header{"Www-Authenticate": {`Basic realm="b", bearer realm="r", DPoP Error="e"`, `Bearer Claims="c", realm="s"`}})
	ctx = provider.WithRejection(ctx, provider.Rejection{StatusCode: 401, Challenges: said})
	r, ok := provider.RejectionFrom(ctx)
	if !ok || r.StatusCode != 401 || !reflect.DeepEqual(r.Challenges, said) {
		t.Errorf("comes out as %v, %t", r, ok)
	}
	for _, tt := range []struct{ scheme, name, want string }{
		{"Bearer", "claims", "c"}, {"BEARER", "CLAIMS", "c"}, {"Bearer", "realm", "r"}, {"DPoP", "error", "e"}, {"Bearer", "error", ""}, {"", "", ""},
	} {
		if got := r.Param(tt.scheme, tt.name); got != tt.want {
			t.Errorf("%s's %s is %q, want %q", tt.scheme, tt.name, got, tt.want)
		}
	}
	if _, ok := provider.RejectionFrom(provider.WithRejection(t.Context(), provider.Rejection{})); !ok {
		t.Error("a rejection that says nothing is none")
	}
}

// An API may ask for a login of another strength (RFC 9470); a provider that can get such a token
// listens.
func ExampleRejectionFrom() {
	tokens := provider.Func(func(ctx context.Context) (string, error) {
		strength := "any"
		if rejection, ok := provider.RejectionFrom(ctx); ok {
			strength = cmp.Or(rejection.Param("Bearer", "acr_values"), strength)
		}
		return "a token of strength " + strength, nil
	})

	// What a transport does:
	header := http.Header{"Www-Authenticate": {`Bearer error="insufficient_user_authentication", acr_values="mfa"`}}
	rejection := provider.Rejection{StatusCode: http.StatusUnauthorized, Challenges: provider.ParseChallenges(header)}
	token, err := tokens.Token(provider.WithRejection(context.Background(), rejection), provider.Token{})
	fmt.Println(token.Value(), err)
	// Output: a token of strength mfa <nil>
}
