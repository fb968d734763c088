// Package published knows what Stream's published API says of its answers and events: which fields
// they have, what these hold, and which of them must be there. Tests hold the test server's answers
// and events against it. The facts stand in api.tsv, one a line.
package published

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

//go:embed api.tsv
var facts string

// An API is what is published. It is safe for concurrent use.
type API struct {
	operations []operation
	events     map[string]string           // type names, by event name
	types      map[string]map[string]field // fields, by type name and their own
}

type operation struct{ method, path, answer string }

type field struct {
	kind     []string // such as "list", "ActivityResponse"
	required bool
}

// Load reads the facts.
func Load() *API {
	a := &API{events: make(map[string]string), types: make(map[string]map[string]field)}
	for line := range strings.Lines(facts) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		switch f[0] {
		case "operation":
			a.operations = append(a.operations, operation{f[1], f[2], f[3]})
		case "event":
			a.events[f[1]] = f[2]
		case "field":
			if a.types[f[1]] == nil {
				a.types[f[1]] = make(map[string]field)
			}
			a.types[f[1]][f[2]] = field{strings.Fields(f[3]), f[4] == "yes"}
		}
	}
	return a
}

// Answer returns an error that names each thing in an answer that the API does not say, or that it
// says and is not there. Its body is held against the type of the operation, or of errors.
func (a *API) Answer(method, path string, status int, body []byte) error {
	op, ok := a.operation(method, path)
	switch {
	case status >= 400:
		op.answer = "APIError"
	case !ok:
		return fmt.Errorf("%s %s is answered, and no operation of the API", method, path)
	case status != success(method):
		return fmt.Errorf("%s %s is answered with status %d, want %d", method, path, status, success(method))
	}
	var c checker
	v := c.decode(body)
	if m, ok := v.(map[string]any); ok && op.answer == "GetApplicationResponse" && !hasSecrets(m) {
		op.answer += "OfUsers" // who are told less
	}
	c.object(a, "", op.answer, v)
	if err := c.err(); err != nil {
		return fmt.Errorf("the answer to %s %s: %w", method, path, err)
	}
	return nil
}

// hasSecrets reports whether the app is described as to servers.
func hasSecrets(ans map[string]any) bool {
	app, _ := ans["app"].(map[string]any)
	_, ok := app["disable_auth_checks"]
	return ok
}

func success(method string) int {
	if method == "POST" || method == "PUT" {
		return 201
	}
	return 200
}

// Event returns an error that names each thing in an event that the API does not say, or that it
// says and is not there.
func (a *API) Event(frame []byte) error {
	var c checker
	v := c.decode(frame)
	m, _ := v.(map[string]any)
	name, _ := m["type"].(string)
	kind, ok := a.events[name]
	if !ok {
		return fmt.Errorf("the API has no event %q", name)
	}
	c.object(a, "", kind, v)
	if err := c.err(); err != nil {
		return fmt.Errorf("the event %s: %w", name, err)
	}
	return nil
}

// Operations lists the operations of the part of the API that is known, as "METHOD /path".
func (a *API) Operations() (list []string) {
	for _, op := range a.operations {
		list = append(list, op.method+" "+op.path)
	}
	return list
}

// operation finds the operation that a request asks for. Of two that match, the one with fewer
// variables is it.
func (a *API) operation(method, path string) (best operation, found bool) {
	have := strings.Split(path, "/")
	fewest := len(have)
	for _, op := range a.operations {
		want := strings.Split(op.path, "/")
		if op.method != method || len(want) != len(have) {
			continue
		}
		variables, matches := 0, true
		for i, part := range want {
			if strings.HasPrefix(part, "{") {
				variables++
			} else if part != have[i] {
				matches = false
			}
		}
		if matches && variables < fewest {
			best, found, fewest = op, true, variables
		}
	}
	return best, found
}

// A checker collects what is wrong.
type checker struct{ errs []error }

func (c *checker) err() error { return errors.Join(c.errs...) }

func (c *checker) wrong(at, format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf("%s "+format, append([]any{strings.TrimPrefix(at, ".")}, args...)...))
}

func (c *checker) decode(body []byte) (v any) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		c.wrong("the whole", "is not JSON: %v", err)
	}
	return v
}

// object holds v against a type. Of a type of which nothing is known it need only be an object.
func (c *checker) object(a *API, at, kind string, v any) {
	m, ok := v.(map[string]any)
	if !ok {
		c.wrong(at, "is %s, want an object (%s)", describe(v), kind)
		return
	}
	fields := a.types[kind]
	if fields == nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if f := fields[name]; f.required && m[name] == nil {
			c.wrong(at+"."+name, "is missing or null in %s", kind)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		f, ok := fields[name]
		switch {
		case !ok:
			c.wrong(at+"."+name, "is no field of %s", kind)
		case m[name] != nil:
			c.value(a, at+"."+name, f.kind, m[name])
		}
	}
}

// value holds v against what a field holds.
func (c *checker) value(a *API, at string, kind []string, v any) {
	var ok bool
	switch kind[0] {
	case "any":
		ok = true
	case "list":
		var list []any
		list, ok = v.([]any)
		for i, one := range list {
			c.value(a, fmt.Sprintf("%s[%d]", at, i), kind[1:], one)
		}
	case "map":
		var m map[string]any
		m, ok = v.(map[string]any)
		for name, one := range m {
			if one != nil || kind[1] != "any" {
				c.value(a, at+"."+name, kind[1:], one)
			}
		}
	case "bool":
		_, ok = v.(bool)
	case "string":
		var s string
		s, ok = v.(string)
		if len(kind) > 1 && !slices.Contains(strings.Split(kind[1], "|"), s) {
			c.wrong(at, "is %q, want one of %s", s, kind[1])
		}
	case "number", "int", "time":
		var n json.Number
		n, ok = v.(json.Number)
		whole, err := n.Int64()
		switch {
		case !ok || kind[0] == "number":
		case err != nil:
			c.wrong(at, "is %s, want an integer", n)
		case kind[0] == "time" && whole < 1e17: // in the seventies, so no nanoseconds
			c.wrong(at, "is %s, want nanoseconds since 1970", n)
		}
	default:
		c.object(a, at, kind[0], v)
		ok = true
	}
	if !ok {
		c.wrong(at, "is %s, want %s", describe(v), strings.Join(kind, " "))
	}
}

func describe(v any) string {
	s := fmt.Sprintf("%v", v)
	if len(s) > 40 {
		s = s[:40] + ".."
	}
	return fmt.Sprintf("%T %s", v, s)
}
