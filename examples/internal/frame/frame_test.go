package frame_test

import (
	"strings"
	"testing"

	"github.com/stayauth/stayauth/examples/internal/frame"
)

func TestParse(t *testing.T) {
	for _, test := range []struct {
		args      string
		arguments int
		status    int
		done      bool
		says      string
	}{
		{"-n 3", 0, frame.OK, false, ""},
		{"-n 3 where", 1, frame.OK, false, ""},
		{"-h", 0, frame.OK, true, "Usage of test:"},
		{"-n many", 0, frame.Usage, true, `invalid value "many" for flag -n`},
		{"-bogus", 0, frame.Usage, true, "flag provided but not defined: -bogus"},
		{"now", 0, frame.Usage, true, "test: unexpected argument \"now\"\n"},
		{"", 1, frame.Usage, true, "test: say where\n"},
		{"here there", 1, frame.Usage, true, "test: say where\n"},
	} {
		var stderr strings.Builder
		p := frame.New("test", &stderr)
		n := p.Int("n", 0, "how many")
		status, done := p.Parse(strings.Fields(test.args), test.arguments, "say where")
		if status != test.status || done != test.done || !strings.HasPrefix(stderr.String(), test.says) || done == (stderr.Len() == 0) {
			t.Errorf("%q: status %d, done %v, and it says %q; want %d, %v and %q", test.args, status, done, stderr.String(), test.status, test.done, test.says)
		}
		if !done && *n != 3 {
			t.Errorf("%q: -n is %d, want 3", test.args, *n)
		}
	}
}
