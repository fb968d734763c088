package provider

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"unicode/utf8"
)

// DevToken returns Stream's developer token for userID: a JWT whose signature is the word
// "devtoken", which needs no secret and never ends. Stream accepts it only while the app has its
// authentication checks disabled, so it is for development alone. Use it through [Static]:
//
//	provider.Static(provider.DevToken("alice"))
//
// A userID that is empty or not UTF-8 gives "", which no client takes for a token.
func DevToken(userID string) string {
	if userID == "" || !utf8.ValidString(userID) {
		return ""
	}
	// Stream's own clients encode the id as JavaScript does: <, > and & stay as they are.
	var payload bytes.Buffer
	enc := json.NewEncoder(&payload)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(map[string]string{userIDClaim: userID}) // strings always encode
	// The payload alone is in standard base64 with padding, which is how Stream's clients make it.
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." +
		base64.StdEncoding.EncodeToString(bytes.TrimSuffix(payload.Bytes(), []byte("\n"))) + ".devtoken"
}
