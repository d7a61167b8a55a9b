package etf

import (
	"fmt"
)

// Assign stores t in what v points at.
func Assign(t Term, v any) error {
	switch p := v.(type) {
	case *Term:
		*p = t
		return nil
	}
	return fmt.Errorf("etf: cannot assign to %T", v)
}
