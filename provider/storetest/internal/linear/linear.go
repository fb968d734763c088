// Package linear tells whether a compare-and-swap register, used by one client at a time, could
// have behaved as its concurrent clients saw it: whether their operations are linearizable.
//
// That is hard to tell of most objects. It is easy here, because every write names the record that
// it replaces and no record is written twice: the writes have one order only, and what is left to
// find is a moment for each.
package linear

import (
	"fmt"
	"math"
	"time"
)

// An Operation is what one client did and what came of it.
type Operation struct {
	Kind   Kind
	Over   string // of a Write or a Conflict: the record that it was to replace; "" is no record
	Record string // what a Load returned, or a Write wrote; no two write the same

	// When it began and ended, by one clock. It took effect at a moment in between.
	Call, Ended time.Duration
}

// A Kind is the kind of an operation.
type Kind int

// The kinds of operations.
const (
	Load     Kind = iota
	Write         // a swap that was carried out
	Conflict      // a swap that was not, because there was another record
)

// A write is a Write in its place in the order, or the beginning.
type write struct {
	record          string
	earliest, until time.Duration // bounds of its moment
}

// Check returns nil if there is an order of the operations in which each sees what the ones before
// it have left, and in which none that had ended before another began comes after it. Otherwise the
// error says which operation has no place. The register is empty at first.
func Check(operations []Operation) error {
	writes, err := inOrder(operations)
	if err != nil {
		return err
	}
	place := make(map[string]int, len(writes))
	for i, w := range writes {
		place[w.record] = i
	}
	for _, o := range operations {
		if o.Kind != Load {
			continue
		}
		i, ok := place[o.Record]
		if !ok {
			return fmt.Errorf("the record %q was loaded and never written", o.Record)
		}
		// The record was there at a moment of the load: it was written before the end, and replaced
		// after the beginning.
		writes[i].until = min(writes[i].until, o.Ended)
		if i+1 < len(writes) {
			writes[i+1].earliest = max(writes[i+1].earliest, o.Call)
		}
	}
	for {
		if err := settle(writes); err != nil {
			return err
		}
		again := false
		for _, o := range operations {
			i, ok := place[o.Over]
			if o.Kind != Conflict || !ok || !always(writes, i, o) {
				continue
			}
			// The record was there from its beginning to its end, where every write has its
			// earliest moment. Later ones leave one way out: the record was written after the
			// beginning.
			if i == 0 {
				return fmt.Errorf("there was no record, and a swap over none, from %v to %v, was a conflict", o.Call, o.Ended)
			}
			writes[i].earliest, again = o.Call, true
		}
		if !again {
			return nil
		}
	}
}

// inOrder returns the beginning and the writes, each after the one that it replaced.
func inOrder(operations []Operation) ([]write, error) {
	over := make(map[string]Operation)
	for _, o := range operations {
		if o.Kind != Write {
			continue
		}
		if other, ok := over[o.Over]; ok {
			return nil, fmt.Errorf("the records %q and %q have both replaced %q", other.Record, o.Record, o.Over)
		}
		over[o.Over] = o
	}
	writes := []write{{earliest: math.MinInt64, until: math.MaxInt64}}
	for next, ok := over[""]; ok; next, ok = over[next.Record] {
		writes = append(writes, write{next.Record, next.Call, next.Ended})
		delete(over, next.Over)
	}
	for _, o := range over {
		return nil, fmt.Errorf("the record %q has replaced %q, which was never there", o.Record, o.Over)
	}
	return writes, nil
}

// settle gives each write its earliest moment.
func settle(writes []write) error {
	for i := range writes {
		w := &writes[i]
		if i > 0 {
			w.earliest = max(w.earliest, writes[i-1].earliest)
		}
		if w.earliest > w.until {
			return fmt.Errorf("the record %q has no moment at which it can have been written: one says not before %v, one not after %v",
				w.record, w.earliest, w.until)
		}
	}
	return nil
}

// always reports whether the record of writes[i] is there during all of o, each write having its
// earliest moment.
func always(writes []write, i int, o Operation) bool {
	return writes[i].earliest < o.Call && (i+1 == len(writes) || writes[i+1].earliest > o.Ended)
}
