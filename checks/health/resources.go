package health

var resourceChecks = []*Check{}
