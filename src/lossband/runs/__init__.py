"""What a user brings and what a law sees: checked tables, arrays, thinned curves, schedules."""
