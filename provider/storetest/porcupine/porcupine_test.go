package porcupine_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/stayauth/stayauth/provider/storetest/internal/linear"
)

// register is the specification. Its state is the record, "" for none.
var register = porcupine.Model{
	Init: func() any { return "" },
	Step: func(state, _, output any) (bool, any) {
		switch o := output.(linear.Operation); o.Kind {
		case linear.Load:
			return state == o.Record, state
		case linear.Conflict:
			return state != o.Over, state
		default:
			return state == o.Over, o.Record
		}
	},
}

// TestSameVerdict draws histories, right ones and spoiled ones, with many operations at the same
// time and many that touch, and compares what linear and porcupine say. STORETEST_SEED in the
// environment is the seed to begin with, as a failure has told it.
func TestSameVerdict(t *testing.T) {
	histories, seed := uint64(20_000), rand.Uint64()
	if s, err := strconv.ParseUint(os.Getenv("STORETEST_SEED"), 10, 64); err == nil {
		histories, seed = 1, s
	}
	right := 0
	for i := range histories {
		history := draw(rand.New(rand.NewPCG(seed+i, 0)))
		err := linear.Check(history)
		if porcupine.CheckOperations(register, translated(history)) != (err == nil) {
			t.Fatalf("linear says %v, and porcupine the opposite, of these operations (STORETEST_SEED=%d):\n%s", err, seed+i, told(history))
		}
		if err == nil {
			right++
		}
	}
	if wrong := histories - uint64(right); histories > 1 && (right < 1000 || wrong < 1000) {
		t.Errorf("of %d histories %d were right and %d wrong: that proves little", histories, right, wrong)
	}
}

// draw returns what a few clients of a register saw. In half of the histories one of them saw
// something else.
func draw(dice *rand.Rand) []linear.Operation {
	const span = 30 // moments, few enough that ends and beginnings meet
	var history []linear.Operation
	record, records := "", []string{""}
	moment := time.Duration(0)
	for i := range 2 + dice.IntN(9) {
		moment += time.Duration(dice.IntN(span / 10))
		o := linear.Operation{
			Kind: linear.Kind(dice.IntN(3)), Over: record,
			Call: moment - time.Duration(dice.IntN(span/4)), Ended: moment + time.Duration(dice.IntN(span/4)),
		}
		switch o.Kind {
		case linear.Load:
			o.Record, o.Over = record, ""
		case linear.Write:
			record = fmt.Sprint("record ", i)
			o.Record = record
			records = append(records, record)
		case linear.Conflict:
			o.Over = records[dice.IntN(len(records))]
			if o.Over == record {
				o.Over = "another"
			}
		}
		history = append(history, o)
	}
	if dice.IntN(2) == 0 {
		spoil(dice, &history[dice.IntN(len(history))], records)
	}
	dice.Shuffle(len(history), func(i, j int) { history[i], history[j] = history[j], history[i] })
	return history
}

// spoil changes what was seen, or when.
func spoil(dice *rand.Rand, o *linear.Operation, records []string) {
	other := records[dice.IntN(len(records))]
	switch later := time.Duration(dice.IntN(9) - 4); {
	case dice.IntN(2) == 0:
		o.Call, o.Ended = o.Call+later, o.Ended+later
	case o.Kind == linear.Load:
		o.Record = other
	case o.Kind == linear.Conflict || o.Record != other:
		o.Over = other
	}
}

func translated(history []linear.Operation) []porcupine.Operation {
	var operations []porcupine.Operation
	for i, o := range history {
		operations = append(operations, porcupine.Operation{ClientId: i, Call: int64(o.Call), Output: o, Return: int64(o.Ended)})
	}
	return operations
}

func told(history []linear.Operation) string {
	var b strings.Builder
	for _, o := range history {
		fmt.Fprintf(&b, "%+v\n", o)
	}
	return b.String()
}
