package feeds

import (
	"errors"
	"iter"
)

// maxEmptyPages is how many pages without any item may follow one another. An API that filters
// after it has cut the pages sends some. An API that makes up cursors without end would keep the
// loop for ever: its body is never run, so it can't break.
const maxEmptyPages = 100

var (
	errCircle = errors.New("feeds: the API's pages go in a circle: the list has no end")
	errHollow = errors.New("feeds: the API has returned 100 pages in a row without anything new on them: the list has no end")
)

// pages returns an iterator over the items of all pages, beginning with the page at next. fetch
// returns the items of the page at a cursor, and the cursor of the page after it, which is "" after
// the last. Each range over the iterator begins again at next.
func pages[T any](next string, fetch func(next string) (items []T, after string, err error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		been := map[string]bool{next: true}
		for at, empty := next, 0; ; {
			items, after, err := fetch(at)
			if err != nil {
				yield(zero, err)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if empty++; len(items) > 0 {
				empty = 0
			}
			switch {
			case after == "":
				return
			case been[after]:
				yield(zero, errCircle)
				return
			case empty == maxEmptyPages:
				yield(zero, errHollow)
				return
			}
			been[after] = true
			at = after
		}
	}
}
