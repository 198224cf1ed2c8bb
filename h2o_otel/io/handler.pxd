from ..protocol.handler cimport Handler

cdef class DriverHandler(Handler):
    cpdef connection_made(self, object driver)
    cpdef batch_finished(self, double now)
    cpdef writing_paused(self)
    cpdef writing_resumed(self)
    cpdef connection_lost(self, object error)
