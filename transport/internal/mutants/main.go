// Mutants breaks the transport on purpose, in one place at a time, and says which breaks no test
// has noticed.
//
//	go run ./transport/internal/mutants            all of them, some ten minutes on two cores
//	go run ./transport/internal/mutants early      those whose name contains "early"
//
// Each is a change of a line or two in mutants.txt. The tests of the session, of the journal and
// then of the whole transport run against the changed file, through the go command's -overlay, so
// the checkout stays as it is. A mutant that survives is a guard that nothing guards: write the
// test, or delete the guard. A mutant that can't be told from the original, for a reason, says
// "equivalent:" and the reason in its name, and has to survive.
package main

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

//go:embed mutants.txt
var list string

// A mutant is one change.
type mutant struct {
	name, file string // the file's path from the module's root
	old, new   string
}

// parse reads the list: "== name", "file", and then lines that are taken out, with "- ", and put
// in, with "+ ".
func parse(list string) (all []mutant, err error) {
	for i, block := range strings.Split(list, "\n== ")[1:] {
		lines := strings.Split(strings.TrimRight(block, "\n"), "\n")
		if len(lines) < 3 {
			return nil, fmt.Errorf("mutant %d, %q, has %d lines", i+1, lines[0], len(lines))
		}
		m := mutant{name: lines[0], file: lines[1]}
		for _, line := range lines[2:] {
			switch {
			case strings.HasPrefix(line, "- "):
				m.old += line[2:] + "\n"
			case strings.HasPrefix(line, "+ "):
				m.new += line[2:] + "\n"
			default:
				return nil, fmt.Errorf("mutant %q: the line %q begins with neither - nor +", m.name, line)
			}
		}
		m.old, m.new = strings.TrimSuffix(m.old, "\n"), strings.TrimSuffix(m.new, "\n")
		all = append(all, m)
	}
	return all, nil
}

// apply returns the file's text with the change in it.
func (m mutant) apply(root string) (string, error) {
	text, err := os.ReadFile(filepath.Join(root, m.file))
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(text), m.old); n != 1 {
		return "", fmt.Errorf("%s has %q in %d places, want one", m.file, m.old, n)
	}
	return strings.Replace(string(text), m.old, m.new, 1), nil
}

// run reports what noticed the mutant: a package's path, or "" if nothing has.
func (m mutant) run(root string) (by string, err error) {
	text, err := m.apply(root)
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "mutant")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	changed, overlay := filepath.Join(dir, "changed.go"), filepath.Join(dir, "overlay.json")
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(root, m.file): changed}})
	if err != nil {
		return "", err
	}
	if err := errors.Join(os.WriteFile(changed, []byte(text), 0o600), os.WriteFile(overlay, replace, 0o600)); err != nil {
		return "", err
	}
	for _, pkg := range []string{"./transport/internal/session", "./transport/internal/journal", "./transport"} {
		cmd := exec.Command("go", "test", "-overlay", overlay, "-short", "-failfast", "-timeout", "5m", "-count=1", "-vet=off", pkg)
		cmd.Dir = root
		out, err := cmd.CombinedOutput()
		switch {
		case strings.Contains(string(out), "[build failed]"):
			return "", fmt.Errorf("it does not build:\n%s", out)
		case err != nil:
			return pkg, nil
		}
	}
	return "", nil
}

func main() {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants: run it in the module:", err)
		os.Exit(2)
	}
	root := strings.TrimSpace(string(out))
	all, err := parse(list)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(2)
	}
	if len(os.Args) > 1 {
		all = slices.DeleteFunc(all, func(m mutant) bool { return !strings.Contains(m.name, os.Args[1]) })
	}

	type result struct {
		by   string
		err  error
		took time.Duration
	}
	results := make([]result, len(all))
	next := make(chan int)
	var workers sync.WaitGroup
	for range 2 { // each go test takes the cores there are; a second fills the gaps
		workers.Go(func() {
			for i := range next {
				began := time.Now()
				by, err := all[i].run(root)
				results[i] = result{by, err, time.Since(began)}
				state := "killed by " + by
				switch {
				case err != nil:
					state = "ERROR " + err.Error()
				case by == "":
					state = "SURVIVED"
				}
				fmt.Printf("%-9s %4.0fs  %s: %s\n", fmt.Sprintf("%d/%d", i+1, len(all)), results[i].took.Seconds(), all[i].name, state)
			}
		})
	}
	for i := range all {
		next <- i
	}
	close(next)
	workers.Wait()

	killed, equivalent, bad := 0, 0, 0
	for i, r := range results {
		same := strings.Contains(all[i].name, "equivalent:")
		switch {
		case r.err == nil && r.by != "" && !same:
			killed++
		case r.err == nil && r.by == "" && same:
			equivalent++
		default:
			bad++
		}
	}
	fmt.Printf("%d mutants: %d killed, %d equivalent, %d unexplained\n", len(all), killed, equivalent, bad)
	if bad > 0 {
		os.Exit(1)
	}
}
