"""The four vendors on the loopback, speaking their wire formats, with time, faults and limits that a test can steer."""
