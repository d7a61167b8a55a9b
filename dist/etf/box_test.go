package etf

import (
	"fmt"
	"math"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestBox proves that values boxed by hand are what the compiler would have made of them, also when the garbage collector
// runs between making and reading.
func TestBox(t *testing.T) {
	var (
		n     numbers
		boxed []Term
		plain []Term
	)
	for i := range int64(100) {
		boxed = append(boxed, n.box(int64Type, uint64(i<<40)), n.box(floatType, math.Float64bits(float64(i))))
		plain = append(plain, i<<40, float64(i))
	}
	for size := range 100 {
		tuple, boxedTuple := newSlice[Term](tupleType, size)
		list, boxedList := newSlice[Term](listType, size)
		entries, boxedMap := newSlice[MapEntry](mapType, size)
		b, boxedBytes := newBytes(size)
		for i := range size {
			tuple[i], list[i], b[i] = fmt.Sprint("element ", i), Atom(fmt.Sprint("atom ", i)), byte(i)
			entries[i] = MapEntry{Key: fmt.Sprint(i), Value: i}
		}
		boxed = append(boxed, boxedTuple, boxedList, boxedMap, boxedBytes)
		plain = append(plain, Tuple(append([]Term{}, tuple...)), List(append([]Term{}, list...)), Map(append([]MapEntry{}, entries...)),
			append([]byte{}, b...))
		if size%10 == 0 {
			runtime.GC()
		}
	}
	runtime.GC()
	require.Equal(t, plain, boxed)
	for i := range boxed {
		require.IsType(t, plain[i], boxed[i])
	}
	require.Equal(t, Tuple{"element 0", "added"}, append(boxed[200+4].(Tuple), "added"), "appending copies")
}
