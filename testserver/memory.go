package testserver

import (
	"container/list"
	"iter"
)

// What the server remembers of each kind of thing; the package comment names both numbers.
const (
	maxEntries = 100_000
	maxBytes   = 64 << 20
)

// A memory is a map that forgets its oldest entries when it holds more than maxEntries of them, or more than maxBytes in
// all. The zero memory is empty and ready. Its owner's lock guards it.
type memory[V any] struct {
	byKey map[string]*list.Element // of *entry[V]
	order list.List                // oldest first
	bytes int
	lost  int // how many were forgotten
}

type entry[V any] struct {
	key   string
	value V
	size  int
}

func (m *memory[V]) get(key string) (V, bool) {
	if e, ok := m.byKey[key]; ok {
		return e.Value.(*entry[V]).value, true
	}
	var zero V
	return zero, false
}

// put keeps v, which takes size bytes, under key. A key that is there already keeps its age.
func (m *memory[V]) put(key string, v V, size int) {
	if e, ok := m.byKey[key]; ok {
		old := e.Value.(*entry[V])
		m.bytes += size - old.size
		old.value, old.size = v, size
	} else {
		if m.byKey == nil {
			m.byKey = make(map[string]*list.Element)
		}
		m.byKey[key] = m.order.PushBack(&entry[V]{key, v, size})
		m.bytes += size
	}
	for len(m.byKey) > maxEntries || m.bytes > maxBytes && len(m.byKey) > 1 {
		m.drop(m.order.Front())
		m.lost++
	}
}

// remove forgets an entry, if there is one.
func (m *memory[V]) remove(key string) {
	if e, ok := m.byKey[key]; ok {
		m.drop(e)
	}
}

func (m *memory[V]) drop(e *list.Element) {
	old := m.order.Remove(e).(*entry[V])
	delete(m.byKey, old.key)
	m.bytes -= old.size
}

func (m *memory[V]) len() int { return len(m.byKey) }

// all goes through the entries, oldest first.
func (m *memory[V]) all() iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for e := m.order.Front(); e != nil; e = e.Next() {
			if en := e.Value.(*entry[V]); !yield(en.key, en.value) {
				return
			}
		}
	}
}
