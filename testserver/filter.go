package testserver

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// A filter is Stream's filter language: {"activity_type": "post"}, {"id": {"$in": ["a", "b"]}},
// {"created_at": {"$gt": "2026-.."}}, {"$or": [..]} and {"$and": [..]}. All conditions of an object
// must hold. Which fields there are, and which operators each of them knows, is the API's list.
type filter map[string]json.RawMessage

// A field is one that can be filtered by.
type field[T any] struct {
	ops    string // the operators that it knows, such as "$eq $in"
	nested bool   // what is in it can be filtered by as well: "custom.colour"

	// compile reads the operand of one of these operators, and returns the condition. It returns
	// nil if the operand has the wrong type. path is what a name has after this field's own and a
	// dot, for fields that hold objects, and empty for all others.
	compile func(op, path string, operand json.RawMessage) func(T) bool
}

// fields are those of one kind of thing, by name.
type fields[T any] map[string]field[T]

// lookup finds the field that a filter names.
func (fs fields[T]) lookup(name string) (f field[T], path string, ok bool) {
	if f, ok = fs[name]; ok {
		return f, "", true
	}
	first, path, nested := strings.Cut(name, ".")
	f, ok = fs[first]
	return f, path, ok && nested && path != "" && f.nested
}

// compile turns a filter into a function.
func compile[T any](f filter, fs fields[T]) (func(T) bool, *failure) {
	var all []func(T) bool
	for name, raw := range f {
		if name == "$and" || name == "$or" {
			cond, fail := combine(name, raw, fs)
			if fail != nil {
				return nil, fail
			}
			all = append(all, cond)
			continue
		}
		field, path, ok := fs.lookup(name)
		if !ok {
			return nil, badInput("can't filter by field '%s'", name)
		}
		for op, operand := range operators(raw) {
			if !slices.Contains(strings.Fields(field.ops), op) {
				return nil, badInput("field '%s' can be filtered by %s, and not by %s", name, field.ops, op)
			}
			cond := field.compile(op, path, operand)
			if cond == nil {
				return nil, badInput("can't filter field '%s' by %s with this value", name, op)
			}
			all = append(all, cond)
		}
	}
	return func(v T) bool { return hold(all, v, true) }, nil
}

// operators splits what a filter says of one field into operators and their operands. A value that
// is no object of operators stands for $eq.
func operators(raw json.RawMessage) map[string]json.RawMessage {
	var ops map[string]json.RawMessage
	if bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) {
		_ = json.Unmarshal(raw, &ops) // raw is valid JSON already, and an object
		for name := range ops {
			if strings.HasPrefix(name, "$") {
				return ops
			}
		}
	}
	return map[string]json.RawMessage{"$eq": raw}
}

// combine compiles the list of filters under $and or $or.
func combine[T any](op string, raw json.RawMessage, fs fields[T]) (func(T) bool, *failure) {
	var list []filter
	if json.Unmarshal(raw, &list) != nil || len(list) == 0 {
		return nil, badInput("%s needs a list of filters", op)
	}
	var conds []func(T) bool
	for _, f := range list {
		cond, fail := compile(f, fs)
		if fail != nil {
			return nil, fail
		}
		conds = append(conds, cond)
	}
	return func(v T) bool { return hold(conds, v, op == "$and") }, nil
}

// hold reports whether all of the conditions hold for v, or any of them.
func hold[T any](conds []func(T) bool, v T, all bool) bool {
	for _, cond := range conds {
		if cond(v) != all {
			return !all
		}
	}
	return all
}

// parse reads an operand. It returns false for null, and for one of the wrong type.
func parse[V any](raw json.RawMessage) (V, bool) {
	var v *V
	if json.Unmarshal(raw, &v) != nil || v == nil {
		var zero V
		return zero, false
	}
	return *v, true
}

// parseList reads a list of operands, none of them null.
func parseList[V any](raw json.RawMessage) ([]V, bool) {
	raws, ok := parse[[]json.RawMessage](raw)
	list := make([]V, 0, len(raws))
	for _, one := range raws {
		v, good := parse[V](one)
		list, ok = append(list, v), ok && good
	}
	return list, ok
}
