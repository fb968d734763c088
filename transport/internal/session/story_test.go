package session_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what the stories come to into their files")

// TestStories runs the histories in testdata. A line is a step, see step; the indented lines below
// it are what came of it; a line that begins with # is for the reader.
func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d stories, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := tell(t, string(text))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if want := string(text); got != want {
				t.Errorf("%s, and this came of it:\n%s", difference(want, got), got)
			}
		})
	}
}

// tell runs a story and returns it with what came of each step.
func tell(t *testing.T, text string) string {
	var out strings.Builder
	w := newWorld()
	w.out = &out
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, "  "):
			continue
		case line == "" || strings.HasPrefix(line, "#"):
			fmt.Fprintln(&out, line)
			continue
		}
		s, err := parseStep(line)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&out, line)
		if b := w.do(s); b != nil {
			t.Fatalf("%s\n%s: %s", out.String(), b.law, b.how)
		}
	}
	return out.String()
}

// difference names the first line in which want and got differ.
func difference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			return fmt.Sprintf("line %d is %q, want %q", i+1, g[i], w[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(g), len(w))
}
