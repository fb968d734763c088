package feeds

import (
	"errors"
	"iter"
)

// pages returns an iterator over the items of all pages from next on. fetch returns the page at a cursor, and the cursor of
// the page after it, or "" on the last. Each range over the iterator begins anew.
func pages[T any](next string, fetch func(next string) (items []T, after string, err error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		for at := next; ; {
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
			switch after {
			case "":
				return
			case at:
				yield(zero, errors.New("feeds: the API says that a page is its own successor: the list has no end"))
				return
			}
			at = after
		}
	}
}
