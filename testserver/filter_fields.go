package testserver

import (
	"cmp"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"time"
)

// The kinds of fields that filters know, as the API lists their operators.
const (
	idOps     = "$eq $in"
	orderOps  = "$eq $gt $gte $lt $lte"
	searchOps = "$autocomplete $eq $q"
	tagOps    = "$contains $eq $in"
	customOps = "$contains $eq $exists $gt $gte $in $lt $lte"
)

// ordered is a field whose values can be compared. value returns false for a T that has none.
func ordered[T, V any](ops string, value func(T) (V, bool), compare func(a, b V) int) field[T] {
	return field[T]{ops: ops, compile: func(op, _ string, raw json.RawMessage) func(T) bool {
		switch op {
		case "$exists":
			want, ok := parse[bool](raw)
			return condition(ok, func(v T) bool { _, has := value(v); return has == want })
		case "$in", "$nin":
			list, ok := parseList[V](raw)
			return condition(ok, func(v T) bool {
				have, has := value(v)
				in := has && slices.ContainsFunc(list, func(one V) bool { return compare(have, one) == 0 })
				return in == (op == "$in")
			})
		}
		operand, ok := parse[V](raw)
		return condition(ok, func(v T) bool {
			have, has := value(v)
			if !has {
				return op == "$ne"
			}
			return satisfies(op, compare(have, operand))
		})
	}}
}

// condition returns cond, or nil if its operand could not be read.
func condition[T any](ok bool, cond func(T) bool) func(T) bool {
	if !ok {
		return nil
	}
	return cond
}

// satisfies reports whether a comparison came out as an operator asks for.
func satisfies(op string, c int) bool {
	switch op {
	case "$eq":
		return c == 0
	case "$ne":
		return c != 0
	case "$gt":
		return c > 0
	case "$gte":
		return c >= 0
	case "$lt":
		return c < 0
	default: // $lte
		return c <= 0
	}
}

// textField is one of a string that is compared as a whole or, by $contains, has another one in it,
// or is searched for words. Empty is none.
func textField[T any](ops string, value func(T) string) field[T] {
	exact := ordered(ops, func(v T) (string, bool) { s := value(v); return s, s != "" }, cmp.Compare[string])
	return field[T]{ops: ops, compile: func(op, path string, raw json.RawMessage) func(T) bool {
		query, ok := parse[string](raw)
		switch op {
		case "$contains":
			return condition(ok, func(v T) bool { return strings.Contains(value(v), query) })
		case "$autocomplete", "$q":
		default:
			return exact.compile(op, path, raw)
		}
		return condition(ok, func(v T) bool { return search(value(v), query, op == "$autocomplete") })
	}}
}

// search reports whether each word of the query is one of the text's, or begins one of them.
func search(text, query string, prefix bool) bool {
	split := func(s string) []string {
		return strings.FieldsFunc(strings.ToLower(s), func(r rune) bool {
			return strings.ContainsRune(" \t\n.,;:!?()[]{}\"'", r)
		})
	}
	words, wanted := split(text), split(query)
	for _, want := range wanted {
		if !slices.ContainsFunc(words, func(w string) bool { return w == want || prefix && strings.HasPrefix(w, want) }) {
			return false
		}
	}
	return len(wanted) > 0
}

// timeField is one of a date. The zero time is none.
func timeField[T any](ops string, value func(T) time.Time) field[T] {
	return ordered(ops, func(v T) (date, bool) { t := value(v); return date{t}, !t.IsZero() },
		func(a, b date) int { return a.Compare(b.Time) })
}

func numberField[T any](ops string, value func(T) float64) field[T] {
	return ordered(ops, func(v T) (float64, bool) { return value(v), true }, cmp.Compare[float64])
}

func boolField[T any](ops string, value func(T) bool) field[T] {
	return ordered(ops, func(v T) (bool, bool) { return value(v), true }, func(a, b bool) int {
		if a == b {
			return 0
		}
		return 1
	})
}

// anyOf is a field of which a T has several values, any of which will do: an activity's feeds.
func anyOf[T any](ops string, values func(T) []string) field[T] {
	return field[T]{ops: ops, compile: func(op, _ string, raw json.RawMessage) func(T) bool {
		list, ok := parseList[string](raw)
		if op != "$in" {
			var one string
			one, ok = parse[string](raw)
			list = []string{one}
		}
		return condition(ok, func(v T) bool {
			return slices.ContainsFunc(values(v), func(s string) bool { return slices.Contains(list, s) })
		})
	}}
}

// tagsField is a list of strings. $eq takes a list, all of which must be there; $in one, any of
// which will do; $contains a single string, or several that must all be there.
func tagsField[T any](values func(T) []string) field[T] {
	return field[T]{ops: tagOps, compile: func(op, _ string, raw json.RawMessage) func(T) bool {
		list, ok := parseList[string](raw)
		if one, single := parse[string](raw); single && op == "$contains" {
			list, ok = []string{one}, true
		}
		return condition(ok, func(v T) bool {
			have := values(v)
			in := func(s string) bool { return slices.Contains(have, s) }
			if op == "$in" {
				return slices.ContainsFunc(list, in)
			}
			return !slices.ContainsFunc(list, func(s string) bool { return !in(s) })
		})
	}}
}

// objectField is one that holds any JSON, whole or at a path into it: custom, custom.colour.
func objectField[T any](ops string, value func(T) map[string]any) field[T] {
	return field[T]{ops: ops, nested: strings.Contains(ops, "$exists"), compile: func(op, path string, raw json.RawMessage) func(T) bool {
		at := func(v T) (any, bool) { return walk(value(v), path) }
		switch op {
		case "$exists":
			want, ok := parse[bool](raw)
			return condition(ok, func(v T) bool { _, has := at(v); return has == want })
		case "$path_exists":
			deeper, ok := parse[string](raw)
			return condition(ok, func(v T) bool { _, has := walk(value(v), deeper); return has })
		case "$in":
			list, ok := parseList[any](raw)
			return condition(ok, func(v T) bool {
				have, has := at(v)
				return has && slices.ContainsFunc(list, func(one any) bool { return reflect.DeepEqual(have, one) })
			})
		}
		operand, ok := parse[any](raw)
		return condition(ok, func(v T) bool {
			have, has := at(v)
			switch {
			case !has:
				return false
			case op == "$eq":
				return reflect.DeepEqual(have, operand)
			case op == "$contains":
				return contains(have, operand)
			}
			a, isNumber := have.(float64)
			b, wantsNumber := operand.(float64)
			if isNumber && wantsNumber {
				return satisfies(op, cmp.Compare(a, b))
			}
			x, isText := have.(string)
			y, wantsText := operand.(string)
			return isText && wantsText && satisfies(op, cmp.Compare(x, y))
		})
	}}
}

// walk follows a path of names with dots between them.
func walk(m map[string]any, path string) (any, bool) {
	if path == "" {
		return m, len(m) > 0
	}
	var v any = m
	for name := range strings.SplitSeq(path, ".") {
		object, _ := v.(map[string]any)
		var ok bool
		if v, ok = object[name]; !ok {
			return nil, false
		}
	}
	return v, true
}

// contains reports whether JSON holds other JSON: an object all of its fields, a list all of its
// values, or one.
func contains(have, want any) bool {
	switch h := have.(type) {
	case map[string]any:
		w, ok := want.(map[string]any)
		if !ok {
			return false
		}
		for name, value := range w {
			if one, ok := h[name]; !ok || !contains(one, value) {
				return false
			}
		}
		return true
	case []any:
		list, ok := want.([]any)
		if !ok {
			list = []any{want}
		}
		for _, one := range list {
			if !slices.ContainsFunc(h, func(v any) bool { return contains(v, one) }) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(have, want)
}
