package feeds_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/provider"
)

// Neither a client nor a session shows the secret or a token, under any verb and in whatever struct
// they stand.
func TestClientAndSessionAreRedacted(t *testing.T) {
	c := backend("key", "hunter2", &stub{answer: func(int, *http.Request) (int, http.Header, string) { return 200, nil, `{}` }})
	s, err := c.ConnectServer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	alice, err := c.ConnectUser(t.Context(), feeds.User{ID: "alice"}, provider.Signer{Secret: provider.NewSecret("hunter2")}.For("alice"))
	if err != nil {
		t.Fatal(err)
	}
	defer alice.Close()
	type hidden struct {
		c  *feeds.Client
		v  feeds.Client
		s  *feeds.Session
		cs []*feeds.Client
		vs map[string]feeds.Client
		a  any
	}
	h := hidden{c, *c, s, []*feeds.Client{c}, map[string]feeds.Client{"a": *c}, *c}
	values := []any{c, *c, s, alice, h, &h, []any{h, *c, alice}, struct{ H *hidden }{&h}, struct{ a any }{&h}, struct{ s any }{alice}, (*feeds.Session)(nil)}
	for _, v := range values {
		var out strings.Builder
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%p", "%w"} {
			fmt.Fprintf(&out, verb, v)
		}
		for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(handler).Info("", "v", v)
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Error(err)
		}
		out.Write(b)
		for _, secret := range []string{"hunter2", hex.EncodeToString([]byte("hunter2")), strings.ToUpper(hex.EncodeToString([]byte("hunter2"))), "eyJhbGciOi"} {
			if strings.Contains(out.String(), secret) {
				t.Errorf("%T shows %s: %s", v, secret, &out)
			}
		}
	}
	if got := fmt.Sprint(c, alice); got != `feeds.Client{Key: "key", BaseURL: "https://stream.test"} feeds.Session{User: "alice"}` {
		t.Errorf("printed %s", got)
	}
}
