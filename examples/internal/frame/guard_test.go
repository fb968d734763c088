package frame

import (
	"os"
	"slices"
	"testing"
)

// TestObey: how many signals it takes to end a program, and what is said to them.
func TestObey(t *testing.T) {
	const (
		saving = "saving the login, which takes a moment"
		still  = "still saving the login; once more ends this at once, and you may have to log in again"
	)
	for _, test := range []struct {
		name   string
		saving []bool // whether a login is being saved, at each signal until the one that ends it
		says   []string
	}{
		{"never", []bool{false, false}, nil},
		{"all the time", []bool{true, true, true}, []string{saving, still}},
		{"at the first", []bool{true, false}, []string{saving}},
		{"since the second", []bool{false, true, true, true}, []string{saving, still}},
	} {
		t.Run(test.name, func(t *testing.T) {
			g, signals := new(Guard), make(chan os.Signal, len(test.saving)+1)
			for range cap(signals) {
				signals <- os.Interrupt
			}
			var says []string
			taken := 0
			endContext := func() { // each signal begins with it
				if taken < len(test.saving) {
					g.Saving.Store(test.saving[taken])
				}
				taken++
			}
			g.obey(signals, endContext, func(text string) { says = append(says, text) })
			if taken != len(test.saving) || !slices.Equal(says, test.says) {
				t.Errorf("it took %d signals and said %q; want %d and %q", taken, says, len(test.saving), test.says)
			}
		})
	}
}
