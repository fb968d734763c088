package provider_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/stayauth/stayauth/provider"
)

// jwtOf returns a JWT with the given payload and a signature of nobody's.
func jwtOf(payload string) string { return jwtWith(`{"alg":"HS256","typ":"JWT"}`, payload) }

func jwtWith(header, payload string) string {
	enc := base64.RawURLEncoding
	return enc.EncodeToString([]byte(header)) + "." + enc.EncodeToString([]byte(payload)) + "." + enc.EncodeToString([]byte("zq9-sig"))
}

func TestParseJWTExpiry(t *testing.T) {
	year := int64(365 * 24 * 3600)
	now := time.Now().Unix()
	tests := []struct {
		payload  string
		exp      int64 // 0: unknown
		lifetime time.Duration
	}{
		{`{}`, 0, 0},
		{`{"user_id":"alice"}`, 0, 0},
		{`{"exp":1900000000}`, 1900000000, 0},
		{`{"exp":1900000000,"iat":1899996400}`, 1900000000, time.Hour},
		{` {"exp" : 1900000000 }`, 1900000000, 0},
		{`{"exp":1}`, 1, 0},
		{fmt.Sprintf(`{"exp":%d,"iat":%d}`, now+100*year, now), now + 100*year, time.Duration(100*year) * time.Second},

		// An exp that makes no sense is unknown.
		{`{"exp":0,"iat":1}`, 0, 0},
		{`{"exp":-1}`, 0, 0},
		{`{"exp":-1900000000,"iat":-1900003600}`, 0, 0},
		{`{"exp":"1900000000"}`, 0, 0},
		{`{"exp":"soon"}`, 0, 0},
		{`{"exp":0.5,"iat":0.25}`, 0, 0},
		{`{"exp":1e-300}`, 0, 0},
		{`{"exp":1e300}`, 0, 0},
		{`{"exp":1e999999999}`, 0, 0},
		{`{"exp":-1.9e9}`, 0, 0},
		{`{"exp":null}`, 0, 0},
		{`{"exp":true}`, 0, 0},
		{`{"exp":[1900000000]}`, 0, 0},
		{`{"exp":{"a":1900000000}}`, 0, 0},
		{fmt.Sprintf(`{"exp":%d}`, (now+3600)*1000), 0, 0}, // milliseconds
		{fmt.Sprintf(`{"exp":%d}`, now+201*year), 0, 0},
		{`{"exp":9223372036854775807}`, 0, 0},
		{`{"exp":9223372036854775808}`, 0, 0},
		{`{"exp":1` + strings.Repeat("0", 400) + `}`, 0, 0},
		{`{"EXP":1900000000}`, 0, 0}, // claim names are case-sensitive

		// Neither does every iat.
		{`{"exp":1900000000,"iat":1900000000}`, 1900000000, 0},
		{`{"exp":1900000000,"iat":1900000001}`, 1900000000, 0},
		{`{"exp":1900000000,"iat":"1899996400"}`, 1900000000, 0},
		{`{"exp":1900000000,"iat":-1}`, 1900000000, 0},
		{`{"exp":1900000000,"iat":0.5}`, 1900000000, 0},
		{`{"iat":1899996400}`, 0, 0},
	}
	for _, tt := range tests {
		value := jwtOf(tt.payload)
		token, err := provider.ParseJWT(value)
		if err != nil || token.Value() != value || token.RefreshToken() != "" {
			t.Errorf("%.80s: %v", tt.payload, err)
			continue
		}
		var exp int64
		if !token.Expiry().IsZero() {
			exp = token.Expiry().Unix()
		}
		if exp != tt.exp || token.Lifetime() != tt.lifetime {
			t.Errorf("%.80s: expiry %d, lifetime %v; want %d, %v", tt.payload, exp, token.Lifetime(), tt.exp, tt.lifetime)
		}
	}
}

// Any JSON number will do (RFC 7519 section 2), and some send what their language makes of a time.
func TestParseJWTFractions(t *testing.T) {
	for _, tt := range []struct {
		payload  string
		expiry   time.Time
		lifetime time.Duration
	}{
		{`{"exp":1788947152.811,"iat":1788947092.811}`, time.UnixMilli(1788947152811), time.Minute},
		{`{"exp":1788947152.000001}`, time.UnixMicro(1788947152000001), 0},
		{`{"exp":1788947152.0,"iat":1788947151}`, time.Unix(1788947152, 0), time.Second},
		{`{"exp":1.788E9,"iat":1.787999e9}`, time.Unix(1788000000, 0), 1000 * time.Second},
		{`{"exp":1.788947152811e+9}`, time.UnixMilli(1788947152811), 0},
		{`{"exp":17889471528110e-4}`, time.UnixMilli(1788947152811), 0},
	} {
		token, err := provider.ParseJWT(jwtOf(tt.payload))
		if err != nil || !token.Expiry().Equal(tt.expiry) || token.Lifetime() != tt.lifetime {
			t.Errorf("%s: %v, %v, %v; want %v, %v", tt.payload, token.Expiry(), token.Lifetime(), err, tt.expiry, tt.lifetime)
		}
	}
}

// The signature, the algorithm and the form of base64 are the API's business.
func TestParseJWTTakesForeignTokens(t *testing.T) {
	const payload = `{"user_id":"~~~???","exp":1900000000}`
	std := base64.StdEncoding.EncodeToString([]byte(payload))
	if !strings.Contains(std, "/") || !strings.Contains(std, "+") || !strings.HasSuffix(std, "=") {
		t.Fatalf("%s lacks a letter that sets the two alphabets apart", std)
	}
	header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256"}`))
	values := map[string]string{
		"unknown algorithm": jwtWith(`{"alg":"XX999"}`, payload),
		"ES256K":            jwtWith(`{"alg":"ES256K"}`, payload),
		"alg none":          strings.TrimSuffix(jwtWith(`{"alg":"none"}`, payload), base64.RawURLEncoding.EncodeToString([]byte("zq9-sig"))),
		"standard base64":   header + "." + std + ".devtoken",
	}
	signed, err := jwt.NewWithClaims(jwt.SigningMethodHS512, jwt.MapClaims{"exp": 1900000000}).SignedString([]byte("k"))
	if err != nil {
		t.Fatal(err)
	}
	values["HS512"] = signed
	for name, value := range values {
		if token, err := provider.ParseJWT(value); err != nil || token.Expiry().Unix() != 1900000000 || token.Value() != value {
			t.Errorf("%s: %v, expiry %v", name, err, token.Expiry())
		}
	}
}

func TestParseJWTRefusesOthers(t *testing.T) {
	valid := jwtOf(`{"exp":1900000000}`)
	values := map[string]string{
		"empty":               "",
		"opaque":              "zq9-opaque-token",
		"two parts":           strings.Join(strings.Split(valid, ".")[:2], "."),
		"four parts":          valid + ".zq9",
		"five parts (a JWE)":  valid + ".zq9.zq9",
		"line break at end":   valid + "\n",
		"line break inside":   strings.Replace(valid, ".", "\r\n.", 1),
		"space":               " " + valid,
		"not base64":          "zq9!.zq9!.zq9!",
		"header not JSON":     jwtWith(`zq9`, `{}`),
		"header null":         jwtWith(`null`, `{}`),
		"no alg":              jwtWith(`{"typ":"JWT"}`, `{}`),
		"alg not a string":    jwtWith(`{"alg":1}`, `{}`),
		"payload not JSON":    jwtOf(`zq9`),
		"payload null":        jwtOf(`null`),
		"payload a list":      jwtOf(`[]`),
		"payload a string":    jwtOf(`"zq9"`),
		"payload and more":    jwtOf(`{"exp":1900000000}{"exp":1}`),
		"payload empty":       jwtOf(``),
		"longer than 64 KiB":  jwtOf(`{"zq9":"` + strings.Repeat("x", 64<<10) + `"}`),
		"longest and opaque":  strings.Repeat("z", 64<<10),
		"nested past reason":  jwtOf(`{"a":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`),
		"unknown alg, broken": jwtWith(`{"alg":"XX999"}`, `zq9`),
	}
	for name, value := range values {
		token, err := provider.ParseJWT(value)
		if err == nil || !token.IsZero() {
			t.Errorf("%s is taken for a JWT", name)
			continue
		}
		if strings.Contains(err.Error(), "zq9") || !strings.HasPrefix(err.Error(), "provider: ") {
			t.Errorf("%s: the error is %q", name, err)
		}
	}
	almost := jwtOf(`{"zq9":"` + strings.Repeat("x", 48000) + `","exp":1900000000}`)
	if token, err := provider.ParseJWT(almost); len(almost) > 64<<10 || err != nil || token.Expiry().IsZero() {
		t.Errorf("%d bytes: %v", len(almost), err)
	}
}

func FuzzParseJWT(f *testing.F) {
	f.Add("")
	f.Add("..")
	f.Add("a.b.c")
	f.Add(provider.DevToken("ab?>"))
	f.Add(jwtOf(`{"exp":1900000000,"iat":1899996400}`))
	f.Add(jwtOf(`{"exp":9223372036854775807,"iat":-9223372036854775808}`))
	f.Add(jwtOf(`{"exp":1e999}`))
	f.Add(jwtOf(`{"exp":1788947152.811,"iat":1e-7}`))
	f.Add(jwtOf(`null`))
	f.Add(jwtWith(`{"alg":"XX999"}`, `{"exp":1}`))
	f.Add(jwtOf(`{"exp":1}`) + "\n")
	f.Fuzz(func(t *testing.T, value string) {
		token, err := provider.ParseJWT(value)
		if err != nil {
			if !token.IsZero() || !token.Expiry().IsZero() {
				t.Error("a token comes with an error")
			}
			return
		}
		if token.Value() != value || strings.ContainsAny(value, "\r\n") || strings.Count(value, ".") != 2 {
			t.Errorf("%q is taken for the JWT %q", value, token.Value())
		}
		exp, life := token.Expiry(), token.Lifetime()
		if exp.IsZero() && life != 0 || life < 0 {
			t.Errorf("lifetime %v with expiry %v", life, exp)
		}
		if !exp.IsZero() && (exp.Unix() <= 0 || exp.After(time.Now().AddDate(201, 0, 0))) {
			t.Errorf("the expiry %v makes no sense", exp)
		}
	})
}
