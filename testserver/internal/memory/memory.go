// Package memory bounds what the test servers remember.
package memory

import (
	"container/list"
	"iter"
)

// What is remembered of each kind of thing; the comment of testserver.Server names both numbers.
const (
	maxEntries = 100_000
	maxBytes   = 64 << 20
)

// A Map is a map that forgets its oldest entries when it holds more than maxEntries of them, or
// more than maxBytes in all. The zero Map is empty and ready. Its owner's lock guards it.
type Map[V any] struct {
	byKey map[string]*list.Element // of *entry[V]
	order list.List                // oldest first
	bytes int
	lost  int
}

type entry[V any] struct {
	key   string
	value V
	size  int
}

// Get returns what is kept under key.
func (m *Map[V]) Get(key string) (V, bool) {
	if e, ok := m.byKey[key]; ok {
		return e.Value.(*entry[V]).value, true
	}
	var zero V
	return zero, false
}

// Put keeps v, which takes size bytes, under key. A key that is there already keeps its age.
func (m *Map[V]) Put(key string, v V, size int) {
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

// Remove forgets an entry, if there is one.
func (m *Map[V]) Remove(key string) {
	if e, ok := m.byKey[key]; ok {
		m.drop(e)
	}
}

func (m *Map[V]) drop(e *list.Element) {
	old := m.order.Remove(e).(*entry[V])
	delete(m.byKey, old.key)
	m.bytes -= old.size
}

// Len returns how many entries there are.
func (m *Map[V]) Len() int { return len(m.byKey) }

// Lost returns how many entries were forgotten for want of room.
func (m *Map[V]) Lost() int { return m.lost }

// All goes through the entries, oldest first.
func (m *Map[V]) All() iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for e := m.order.Front(); e != nil; e = e.Next() {
			if en := e.Value.(*entry[V]); !yield(en.key, en.value) {
				return
			}
		}
	}
}

// Newest goes through the entries, newest first.
func (m *Map[V]) Newest() iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for e := m.order.Back(); e != nil; e = e.Prev() {
			if en := e.Value.(*entry[V]); !yield(en.key, en.value) {
				return
			}
		}
	}
}
