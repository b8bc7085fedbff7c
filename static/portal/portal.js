// The clock of the pages; see stream.js for live updates.
