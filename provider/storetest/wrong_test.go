package storetest_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stayauth/stayauth/provider/shared"
	"github.com/stayauth/stayauth/provider/storetest"
)

// wrongEnv names the wrong store that a test process is to check.
const wrongEnv = "STORETEST_WRONG"

// wrongStores are broken in one way each. Where it does not matter they are opened once and shared
// by all clients; caught is the subtest that must fail.
var wrongStores = []struct {
	name, caught string
	open         func() func(*testing.T) shared.Store
}{
	{"checks and then writes", "one_winner", sharing(func(m *storetest.Memory) shared.Store { return &racy{Memory: m} })},
	{"ignores the version", "register", sharing(func(m *storetest.Memory) shared.Store { return overwriting{m} })},
	{"writes and reports a conflict", "register", sharing(func(m *storetest.Memory) shared.Store { return writesOnConflict{m} })},
	{"versions are checksums", "versions", sharing(func(m *storetest.Memory) shared.Store { return checksummed{m} })},
	{"skips a write of the same bytes", "versions", sharing(func(m *storetest.Memory) shared.Store { return lazy{m} })},
	{"caches what it loads", "register", func() func(*testing.T) shared.Store {
		m := new(storetest.Memory)
		return func(*testing.T) shared.Store { return &caching{Memory: m, cache: map[string]cached{}} }
	}},
	{"every client has its own storage", "register", func() func(*testing.T) shared.Store {
		return func(*testing.T) shared.Store { return new(storetest.Memory) }
	}},
	{"trims white space", "bytes", sharing(func(m *storetest.Memory) shared.Store { return trimming{m} })},
	{"keeps 64 KiB", "bytes", sharing(func(m *storetest.Memory) shared.Store { return short{m} })},
	{"keeps the caller's slice", "aliasing", sharing(func(*storetest.Memory) shared.Store { return &aliasing{records: map[string]cached{}} })},
	{"cuts keys at 1,024 bytes", "keys", rekeyed(func(key string) string { return key[:min(len(key), 1024)] })},
	{"takes the Kelvin sign for a K", "keys", rekeyed(func(key string) string { return strings.ReplaceAll(key, "\u212a", "K") })},
	{"normalizes keys", "keys", rekeyed(func(key string) string { return strings.ReplaceAll(key, "e\u0301", "\u00e9") })},
	{"trims keys", "keys", rekeyed(strings.TrimSpace)},
	{"folds case", "keys", rekeyed(strings.ToLower)},
	{"ends a key at NUL", "keys", rekeyed(func(key string) string {
		key, _, _ = strings.Cut(key, "\x00")
		return key
	})},
	{"ignores the context", "cancelled", sharing(func(m *storetest.Memory) shared.Store { return deaf{m} })},
	{"a cancelled write is a conflict", "cancelled", sharing(func(m *storetest.Memory) shared.Store { return wrongWord{m} })},
	{"loads what is not yet written", "linearizable", sharing(func(m *storetest.Memory) shared.Store { return &dirty{Memory: m} })},
	{"reports a write that was cut off as done", "linearizable_when_cut_off", sharing(func(m *storetest.Memory) shared.Store { return hopeful{m} })},
	{"reports a write that was cut off as a conflict", "linearizable_when_cut_off", sharing(func(m *storetest.Memory) shared.Store { return afraid{m} })},

	{"reads version and record apart", "contention", sharing(func(m *storetest.Memory) shared.Store { return apart{m} })},
	{"checks and writes without a lock", "contention", sharing(func(m *storetest.Memory) shared.Store { return unlocked{m} })},

	{"opens its lock file once, and two write", "one_winner", openedOnce},
	{"opens its lock file once, and many write", "contention", openedOnce},
	{"opens its lock file once, and some load", "linearizable", openedOnce},
	{"has a lock for each client, and two write", "one_winner", opening(lockingAlone)},
	{"has a lock for each client, and many write", "contention", opening(lockingAlone)},
	{"has a lock for each client, and some load", "linearizable", opening(lockingAlone)},
	{"loads everything into one buffer", "aliasing", opening(func(m *storetest.Memory) shared.Store { return &scratch{Memory: m} })},
	{"loads each key into one buffer", "aliasing", opening(func(m *storetest.Memory) shared.Store {
		return &scratch{Memory: m, perKey: true}
	})},
	{"loads by way of one buffer", "contention", opening(func(m *storetest.Memory) shared.Store { return &buffered{Memory: m} })},

	{"versions wrap at 256", "versions", counting(func(n uint64) uint64 { return 1 + n%255 }, nil)},
	{"keeps 16 bits of a version", "versions", counting(func(n uint64) uint64 { return n % (1 << 16) },
		func(a, b uint64) bool { return uint16(a) == uint16(b) })},
	{"compares 32 bits of a version", "versions", counting(func(n uint64) uint64 { return n },
		func(a, b uint64) bool { return uint32(a) == uint32(b) })},
	{"compares versions as floating-point numbers", "versions", counting(func(n uint64) uint64 { return 1<<60 + n*256 },
		func(a, b uint64) bool { return float64(a) == float64(b) })},
	{"versions turn negative at 2^63", "versions", sharing(func(m *storetest.Memory) shared.Store {
		return signed{&numbered{Memory: m, number: func(n uint64) uint64 { return 1<<63 - 50 + n }}}
	})},
	{"has no word for versions from 2^63", "versions", sharing(func(m *storetest.Memory) shared.Store { return noUnsigned{m} })},
	{"versions go down", "register", counting(func(n uint64) uint64 { return 1<<63 - n }, nil)},
	{"a counter for each key, from 1", "versions", sharing(func(m *storetest.Memory) shared.Store { return &perKey{Memory: m} })},
	{"a counter that starts at 1 again after a loss", "loss", sharing(func(m *storetest.Memory) shared.Store {
		return &forgetful{numbered{Memory: m, number: func(n uint64) uint64 { return n }}}
	})},

	{"quotes the record that is there", "errors", sharing(func(m *storetest.Memory) shared.Store {
		return talkative{m, func(there, _ []byte) string { return string(there) }}
	})},
	{"quotes the end of the record that it was given", "errors", sharing(func(m *storetest.Memory) shared.Store {
		return talkative{m, func(_, given []byte) string { return fmt.Sprintf("...%x", given[max(0, len(given)-10):]) }}
	})},
	{"prints its bytes as numbers", "errors", sharing(func(m *storetest.Memory) shared.Store {
		return talkative{m, func(there, _ []byte) string { return fmt.Sprint(there) }}
	})},

	{"hangs when contended", "context_under_contention", sharing(func(m *storetest.Memory) shared.Store { return &hanging{Memory: m} })},
	{"waits for its lock whatever the context", "context_under_contention", sharing(func(m *storetest.Memory) shared.Store {
		return &locking{Memory: m}
	})},
	{"takes 20 ms to load", "context", sharing(func(m *storetest.Memory) shared.Store { return deafFor{m, 20 * time.Millisecond, 0} })},
	{"does not see what it watches", "watcher", sharing(func(m *storetest.Memory) shared.Store {
		return extras{m, watching{Memory: m, blind: true}, aging{Memory: m}, &trying{}}
	})},
	{"watches whatever the context", "watcher", sharing(func(m *storetest.Memory) shared.Store {
		return extras{m, watching{Memory: m, deaf: true}, aging{Memory: m}, &trying{}}
	})},
	{"makes records older than they are", "ager", sharing(func(m *storetest.Memory) shared.Store {
		return extras{m, watching{Memory: m}, aging{m, time.Second}, &trying{}}
	})},
	{"knows one age for all versions", "ager", sharing(func(m *storetest.Memory) shared.Store {
		return extras{m, watching{Memory: m}, anyVersion{}, &trying{}}
	})},
	{"locks nothing", "locker", sharing(func(m *storetest.Memory) shared.Store {
		return extras{m, watching{Memory: m}, aging{Memory: m}, &trying{open: true}}
	})},
	{"unlocks what is not its own", "locker", sharing(func(m *storetest.Memory) shared.Store {
		return extras{m, watching{Memory: m}, aging{Memory: m}, &trying{careless: true}}
	})},
	{"has one lock for all keys", "locker", sharing(func(m *storetest.Memory) shared.Store {
		return extras{m, watching{Memory: m}, aging{Memory: m}, &trying{coarse: true}}
	})},

	{"takes 20 ms to write", "context", sharing(func(m *storetest.Memory) shared.Store { return deafFor{m, 0, 20 * time.Millisecond} })},
}

func sharing(wrong func(*storetest.Memory) shared.Store) func() func(*testing.T) shared.Store {
	return func() func(*testing.T) shared.Store {
		s := wrong(new(storetest.Memory))
		return func(*testing.T) shared.Store { return s }
	}
}

func rekeyed(change func(key string) string) func() func(*testing.T) shared.Store {
	return sharing(func(m *storetest.Memory) shared.Store { return rekeying{m, change} })
}

func counting(number func(uint64) uint64, same func(a, b uint64) bool) func() func(*testing.T) shared.Store {
	return sharing(func(m *storetest.Memory) shared.Store { return &numbered{Memory: m, number: number, same: same} })
}

// TestWrongStoreFails runs the part of the conformance test that is to catch a wrong store, in a
// process of its own, and wants to see it fail. What is caught by chance, or in the time that a
// processor gave it, has three such chances: where forty others wanted the processor as well, one
// process in a hundred did not meet it.
func TestWrongStoreFails(t *testing.T) {
	for _, w := range wrongStores {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			var out []byte
			var err error
			for try := 0; try < 3 && err == nil; try++ {
				cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestWrongStore$/^"+w.caught+"$", "-test.timeout=10m")
				cmd.Env = append(os.Environ(), wrongEnv+"="+w.name)
				out, err = cmd.CombinedOutput()
			}
			if err == nil {
				t.Fatal("the wrong store passed three times")
			}
			if !strings.Contains(string(out), "--- FAIL: TestWrongStore/"+w.caught+" ") {
				t.Fatalf("the subtest %q did not fail; the output was\n%s", w.caught, out)
			}
		})
	}
}

// TestWrongStore is what TestWrongStoreFails runs.
func TestWrongStore(t *testing.T) {
	name := os.Getenv(wrongEnv)
	if name == "" {
		t.Skip("only as a process of TestWrongStoreFails")
	}
	for _, w := range wrongStores {
		if w.name != name {
			continue
		}
		open := w.open()
		if s, ok := open(t).(*forgetful); ok {
			t.Run("loss", func(t *testing.T) { storetest.RunLoss(t, open, func(*testing.T) { s.lose() }) })
			continue
		}
		storetest.Run(t, open)
	}
}
