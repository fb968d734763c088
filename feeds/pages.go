package feeds

import (
	"errors"
	"iter"
)

// maxEmptyPages is how many pages without any item may follow one another. A filter that is applied
// late makes some; an API that makes up cursors for ever would hold a loop that has no way to
// break.
const maxEmptyPages = 100

var (
	errCircle = errors.New("feeds: the API's pages go in a circle: the list has no end")
	errHollow = errors.New("feeds: the API has returned 100 pages in a row without anything new on them: the list has no end")
)

// pages returns an iterator over the items of all pages from next on. fetch returns the page at a
// cursor, and the cursor of the page after it, or "" on the last. Each range over the iterator
// begins anew.
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
