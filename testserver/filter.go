package testserver

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"time"
)

// A filter is Stream's filter language: {"type": "post"}, {"type": {"$in": ["post", "note"]}}, {"created_at": {"$gt": "2026-.."}},
// {"$or": [..]} and {"$and": [..]}. All conditions of an object must hold.
type filter map[string]json.RawMessage

// A field is one that can be filtered by: it reads an operand, and returns how a T's own value compares with it (as
// [cmp.Compare] does), or nil if the operand has the wrong type.
type field[T any] func(operand json.RawMessage) func(T) int

func textField[T any](value func(T) string) field[T] {
	return func(operand json.RawMessage) func(T) int {
		var s *string
		if json.Unmarshal(operand, &s) != nil || s == nil {
			return nil
		}
		return func(v T) int { return cmp.Compare(value(v), *s) }
	}
}

func timeField[T any](value func(T) time.Time) field[T] {
	return func(operand json.RawMessage) func(T) int {
		var t *time.Time
		if json.Unmarshal(operand, &t) != nil || t == nil {
			return nil
		}
		return func(v T) int { return value(v).Compare(*t) }
	}
}

// listField reads a list of strings. Only whether it contains a value can be asked.
func listField[T any](value func(T) []string) field[T] {
	return func(operand json.RawMessage) func(T) int {
		var s *string
		if json.Unmarshal(operand, &s) != nil || s == nil {
			return nil
		}
		return func(v T) int {
			if slices.Contains(value(v), *s) {
				return 0
			}
			return unordered
		}
	}
}

// unordered is what a comparison gives whose two sides are different and neither is the smaller one.
const unordered = 2

// compile turns a filter into a function.
func compile[T any](f filter, fields map[string]field[T]) (func(T) bool, *failure) {
	var all []func(T) bool
	for name, raw := range f {
		if name == "$and" || name == "$or" {
			cond, fail := combine(name, raw, fields)
			if fail != nil {
				return nil, fail
			}
			all = append(all, cond)
			continue
		}
		field, ok := fields[name]
		if !ok {
			return nil, badInput("can't filter by field '%s'", name)
		}
		ops := map[string]json.RawMessage{"$eq": raw}
		if bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) {
			ops = nil
			_ = json.Unmarshal(raw, &ops) // raw is valid JSON already, and an object
		}
		for op, operand := range ops {
			cond := condition(op, operand, field)
			if cond == nil {
				return nil, badInput("can't filter field '%s' by %s with this value", name, op)
			}
			all = append(all, cond)
		}
	}
	return func(v T) bool { return hold(all, v, true) }, nil
}

// combine compiles the list of filters under $and or $or.
func combine[T any](op string, raw json.RawMessage, fields map[string]field[T]) (func(T) bool, *failure) {
	var list []filter
	if json.Unmarshal(raw, &list) != nil || len(list) == 0 {
		return nil, badInput("%s needs a list of filters", op)
	}
	var conds []func(T) bool
	for _, f := range list {
		cond, fail := compile(f, fields)
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

// condition compiles an operator and its operand, or returns nil if they don't make sense.
func condition[T any](op string, operand json.RawMessage, f field[T]) func(T) bool {
	if op == "$in" {
		var list []json.RawMessage
		if json.Unmarshal(operand, &list) != nil {
			return nil
		}
		var conds []func(T) bool
		for _, one := range list {
			cond := condition("$eq", one, f)
			if cond == nil {
				return nil
			}
			conds = append(conds, cond)
		}
		return func(v T) bool { return hold(conds, v, false) }
	}
	compare := f(operand)
	if compare == nil {
		return nil
	}
	switch op {
	case "$eq", "$contains":
		return func(v T) bool { return compare(v) == 0 }
	case "$gt":
		return func(v T) bool { return compare(v) == 1 }
	case "$gte":
		return func(v T) bool { return compare(v) == 0 || compare(v) == 1 }
	case "$lt":
		return func(v T) bool { return compare(v) < 0 }
	case "$lte":
		return func(v T) bool { return compare(v) <= 0 }
	}
	return nil
}
