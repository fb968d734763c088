package testserver

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// A partialUpdate sets and unsets single fields, those of the custom data by "custom.name" among
// them.
type partialUpdate struct {
	Set   map[string]json.RawMessage `json:"set"`
	Unset []string                   `json:"unset"`
}

// apply changes content, a pointer to a struct whose custom data is custom. settable and unsettable
// are the fields that the API lists, by their JSON names.
func (u partialUpdate) apply(content any, custom *map[string]any, settable, unsettable string) *failure {
	*custom = cloneJSON(*custom)
	for _, name := range u.Unset {
		path, inside := strings.CutPrefix(name, "custom.")
		switch {
		case inside:
			setPath(custom, path, nil)
		case !slices.Contains(strings.Fields(unsettable), name):
			return badInput("field '%s' can't be unset", name)
		default:
			clearField(content, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(u.Set)) {
		value := u.Set[name]
		if path, inside := strings.CutPrefix(name, "custom."); inside {
			var v any
			_ = json.Unmarshal(value, &v) // it is valid JSON already
			setPath(custom, path, v)
			continue
		}
		if !slices.Contains(strings.Fields(settable), name) {
			return badInput("field '%s' can't be set", name)
		}
		clearField(content, name) // or a map would be merged, and a list written over
		one, _ := json.Marshal(map[string]json.RawMessage{name: value})
		if json.Unmarshal(one, content) != nil {
			return badInput("field '%s' has the wrong type", name)
		}
	}
	return nil
}

// clearField sets a field to its zero value, by its JSON name.
func clearField(content any, name string) {
	v := reflect.ValueOf(content).Elem()
	for _, f := range reflect.VisibleFields(v.Type()) {
		if f.Tag.Get("json") == name {
			v.FieldByIndex(f.Index).SetZero()
		}
	}
}

// cloneJSON returns a copy of an object that shares nothing with it.
func cloneJSON(m map[string]any) (out map[string]any) {
	b, _ := json.Marshal(m)     // it is made of JSON
	_ = json.Unmarshal(b, &out) // for the same reason
	return out
}

// setPath sets what is at a path into an object, with dots between the names; nil removes it.
func setPath(m *map[string]any, path string, v any) {
	if *m == nil {
		*m = make(map[string]any)
	}
	at := *m
	names := strings.Split(path, ".")
	for _, name := range names[:len(names)-1] {
		next, ok := at[name].(map[string]any)
		if !ok {
			next = make(map[string]any)
			at[name] = next
		}
		at = next
	}
	last := names[len(names)-1]
	if v == nil {
		delete(at, last)
	} else {
		at[last] = v
	}
}
