package session_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const length = 250 // steps of one history

// events is how many steps the search takes: SESSION_EVENTS says how many more than the ordinary
// million and a half.
func events(t *testing.T) int {
	n := 1_500_000
	if s := os.Getenv("SESSION_EVENTS"); s != "" {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			t.Fatalf("SESSION_EVENTS is %q, want a number such as 1e8", s)
		}
		n = int(f)
	}
	return n
}

// TestSearch lets anything happen in any order, and checks after each step what must always hold:
// see world. A history that breaks a law is made as short as it goes and printed as a script. Put
// it into a file in testdata, and TestStories runs it.
func TestSearch(t *testing.T) {
	base := uint64(1)
	if s := os.Getenv("SESSION_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		base = n
	}
	joined := 0
	began := time.Now()
	total := events(t)
	for seed := base; int(seed-base)*length < total; seed++ {
		w, history, law := history(seed)
		joined += w.joined
		if law != nil {
			short := shorten(history, law.law)
			t.Fatalf("seed %d: %s: %s\nin %d steps, shortened to %d:\n\n%s", seed, law.law, law.how, len(history), len(short), script(short))
		}
	}
	if joined == 0 {
		t.Error("no call was ever joined: the search does not go where it should")
	}
	t.Logf("%d events in %s, %d calls joined", total, time.Since(began).Round(time.Millisecond), joined)
}

// history makes one by chance and stops where a law breaks.
func history(seed uint64) (*world, []step, *broken) {
	w := newWorld()
	c := &chance{Rand: rand.New(rand.NewPCG(seed, 7)), w: w}
	var steps []step
	for range length {
		s := c.step()
		steps = append(steps, s)
		if law := w.do(s); law != nil {
			return w, steps, law
		}
	}
	return w, steps, nil
}

// replay takes the steps and returns the law that they break, or nil.
func replay(steps []step) *broken {
	w := newWorld()
	for _, s := range steps {
		if law := w.do(s); law != nil {
			return law
		}
	}
	return nil
}

// shorten leaves out what is not needed to break the law.
func shorten(steps []step, law string) []step {
	for chunk := len(steps) / 2; chunk > 0; {
		shorter := false
		for i := 0; i+chunk <= len(steps); {
			without := slices.Delete(slices.Clone(steps), i, i+chunk)
			if b := replay(without); b != nil && b.law == law {
				steps, shorter = without, true
			} else {
				i += chunk
			}
		}
		if !shorter || chunk > len(steps)/2 {
			chunk /= 2
		}
	}
	return steps
}

func script(steps []step) string {
	var b strings.Builder
	for _, s := range steps {
		fmt.Fprintln(&b, s)
	}
	return b.String()
}

// A script says the same as the steps that it was made of.
func TestScriptsAreWhole(t *testing.T) {
	for seed := range uint64(200) {
		_, steps, _ := history(seed)
		for _, s := range steps {
			got, err := parseStep(s.String())
			if err != nil || got != s {
				t.Fatalf("%+v is written %q and read as %+v, %v", s, s, got, err)
			}
		}
	}
}
