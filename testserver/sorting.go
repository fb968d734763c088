package testserver

import (
	"cmp"
	"time"
)

// A sortBy is one entry of the sort order that a client asks for.
type sortBy struct {
	Field     string `json:"field"`
	Direction int    `json:"direction"` // -1: the greatest first; 1, and none: the smallest first
}

const maxSorts = 5 // entries of a sort order

// A sortKey is what something is sorted by: one of the three.
type sortKey struct {
	Int   int64   `json:"i,omitempty"`
	Float float64 `json:"f,omitempty"`
	Text  string  `json:"t,omitempty"`
}

func (k sortKey) compare(l sortKey) int {
	return cmp.Or(cmp.Compare(k.Int, l.Int), cmp.Compare(k.Float, l.Float), cmp.Compare(k.Text, l.Text))
}

func timeKey(t time.Time) sortKey { return sortKey{Int: t.UnixNano()} }
func intKey(n int) sortKey        { return sortKey{Int: int64(n)} }

// sortKeys are the fields that a list can be sorted by. Each list has created_at, by which it is
// sorted if nothing else is said, the newest first.
type sortKeys[T numbered] map[string]func(T) sortKey

// order reads a sort order.
func (keys sortKeys[T]) order(list []sortBy) (order[T], *failure) {
	if len(list) == 0 {
		list = []sortBy{{"created_at", -1}}
	}
	if len(list) > maxSorts {
		return nil, badInput("can sort by %d fields at most", maxSorts)
	}
	var by order[T]
	for _, s := range list {
		key, ok := keys[s.Field]
		switch {
		case !ok:
			return nil, badInput("can't sort by field '%s'", s.Field)
		case s.Direction < -1 || s.Direction > 1:
			return nil, badInput("direction must be 1 or -1")
		}
		by = append(by, level[T]{key, s.Direction == -1})
	}
	return by, nil
}

// An order is a sort order that has been read. What it leaves open is decided by age, in the
// direction of its last level.
type order[T numbered] []level[T]

type level[T numbered] struct {
	key        func(T) sortKey
	descending bool
}

func (by order[T]) position(v T) position {
	p := position{Seq: v.number()}
	for _, l := range by {
		p.Keys = append(p.Keys, l.key(v))
	}
	return p
}

// compare compares positions, which have as many keys as the order has levels.
func (by order[T]) compare(p, q position) int {
	descending := false
	for i, l := range by {
		descending = l.descending
		if c := p.Keys[i].compare(q.Keys[i]); c != 0 {
			return sign(c, descending)
		}
	}
	return sign(cmp.Compare(p.Seq, q.Seq), descending)
}

// sign turns the result of a comparison around if the order is descending.
func sign(c int, descending bool) int {
	if descending {
		return -c
	}
	return c
}
