package shared_test

import (
	"strings"
	"testing"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/storetest"
)

// TestUnreadable: a record that is not understood is reported and never overwritten.
func TestUnreadable(t *testing.T) {
	for name, record := range map[string]string{
		"empty":              " ",
		"torn":               `{"format":2,"generation":3,"token":"geh`,
		"not JSON":           "geheim",
		"not an object":      `["geheim"]`,
		"no format":          `{"generation":3,"token":"geheim"}`,
		"an earlier format":  `{"format":1,"generation":3,"token":"geheim"}`,
		"a later format":     `{"format":3,"generation":3,"token":"geheim"}`,
		"an unknown field":   `{"format":2,"generation":3,"attempts":1,"token":"geheim","geheim":1}`,
		"a field of a kind":  `{"format":2,"generation":"geheim","attempts":1}`,
		"a time of a kind":   `{"format":2,"generation":3,"attempts":1,"expiry":"geheim"}`,
		"an epoch too far":   `{"format":2,"epoch":18446744073709551615,"generation":3,"attempts":1,"token":"geheim"}`,
		"two documents":      `{"format":2,"generation":3,"attempts":1}{"format":2}`,
		"a lease of no time": `{"format":2,"generation":3,"attempts":1,"holder":"geheim"}`,
	} {
		t.Run(name, func(t *testing.T) {
			m := new(storetest.Memory)
			if _, err := m.CompareAndSwap(t.Context(), "alice", []byte(record), 0); err != nil {
				t.Fatal(err)
			}
			backend := new(singleUse)
			p := newLogin(backend, m, "alice")
			_, tokenErr := p.Token(t.Context(), first())
			for what, err := range map[string]error{
				"Token": tokenErr, "Forget": p.Forget(t.Context()), "Login": p.Login(t.Context(), first()),
			} {
				if err == nil || !strings.Contains(err.Error(), `"alice"`) || strings.Contains(err.Error(), "geh") || provider.IsPermanent(err) {
					t.Errorf("%s: %v; want a temporary error that names the key and shows nothing of the record", what, err)
				}
			}
			backend.want(t, 0)
			if raw(t, m) != record {
				t.Error("the record was overwritten")
			}
		})
	}
}
