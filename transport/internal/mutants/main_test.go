package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Every mutant can be applied, and changes something. Whether the tests notice is for main to find
// out, which takes its time.
func TestMutantsApply(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		t.Fatal(err)
	}
	root := strings.TrimSpace(string(out))
	all, err := parse(list)
	if err != nil || len(all) < 30 {
		t.Fatalf("%d mutants, %v", len(all), err)
	}
	names := map[string]bool{}
	for _, m := range all {
		before, _ := os.ReadFile(root + "/" + m.file)
		after, err := m.apply(root)
		if err != nil || after == string(before) || names[m.name] {
			t.Errorf("%s: %v", m.name, err)
		}
		names[m.name] = true
	}
}
